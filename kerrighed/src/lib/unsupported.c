// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>

#include <kerrighed/unsupported.h>

#include "device.h"

#define UNSUPPORTED(name, ...)								\
	int name(__VA_ARGS__)								\
	{										\
		return krg_fail(ENOSYS, #name ": this version of Kerrighed has it not");	\
	}

#pragma GCC diagnostic ignored "-Wunused-parameter"

UNSUPPORTED(krg_check_container, void)
UNSUPPORTED(krg_nodes_fail, const struct krg_node_set *set)
UNSUPPORTED(krg_set_cluster_creator, void *creator)
UNSUPPORTED(krg_node_ready, int ready)

UNSUPPORTED(migrate, pid_t pid, int node)
UNSUPPORTED(migrate_self, int node)
UNSUPPORTED(thread_migrate, pid_t thread, int node)

UNSUPPORTED(application_freeze_from_pid, pid_t pid)
UNSUPPORTED(application_freeze_from_appid, long application)
UNSUPPORTED(application_unfreeze_from_pid, pid_t pid)
UNSUPPORTED(application_unfreeze_from_appid, long application)
UNSUPPORTED(application_checkpoint_from_pid, pid_t pid)
UNSUPPORTED(application_checkpoint_from_appid, long application)
UNSUPPORTED(application_restart, long application, int version)
UNSUPPORTED(application_set_userdata, unsigned long long data)
UNSUPPORTED(application_get_userdata_from_pid, pid_t pid, unsigned long long *data)
UNSUPPORTED(application_get_userdata_from_appid, long application, unsigned long long *data)

UNSUPPORTED(ipc_msgq_checkpoint, int id, int file)
UNSUPPORTED(ipc_msgq_restart, int file)
UNSUPPORTED(ipc_sem_checkpoint, int id, int file)
UNSUPPORTED(ipc_sem_restart, int file)
UNSUPPORTED(ipc_shm_checkpoint, int id, int file)
UNSUPPORTED(ipc_shm_restart, int file)
