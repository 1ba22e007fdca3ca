/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Kerrighed had and this version has not: processes that move, and that are kept and taken up
 * again. All of it returns -1 with errno ENOSYS, and does nothing.
 */
#ifndef KERRIGHED_UNSUPPORTED_H
#define KERRIGHED_UNSUPPORTED_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

int migrate(pid_t pid, int node);
int migrate_self(int node);
int thread_migrate(pid_t thread, int node);

int application_freeze_from_pid(pid_t pid);
int application_freeze_from_appid(long application);
int application_unfreeze_from_pid(pid_t pid);
int application_unfreeze_from_appid(long application);
int application_checkpoint_from_pid(pid_t pid);
int application_checkpoint_from_appid(long application);
int application_restart(long application, int version);
int application_set_userdata(unsigned long long data);
int application_get_userdata_from_pid(pid_t pid, unsigned long long *data);
int application_get_userdata_from_appid(long application, unsigned long long *data);

int ipc_msgq_checkpoint(int id, int file);
int ipc_msgq_restart(int file);
int ipc_sem_checkpoint(int id, int file);
int ipc_sem_restart(int file);
int ipc_shm_checkpoint(int id, int file);
int ipc_shm_restart(int file);

#ifdef __cplusplus
}
#endif
#endif
