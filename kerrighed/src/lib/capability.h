/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kerrighed's capabilities of processes; enum krg_capability of interface.h has their bits.
 * -1 with errno where something failed: ESRCH, EPERM, EINVAL, ENOSYS.
 */
#ifndef KERRIGHED_CAPABILITY_H
#define KERRIGHED_CAPABILITY_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct krg_cap_struct {
	int krg_cap_effective;
	int krg_cap_permitted;
	int krg_cap_inheritable_permitted;
	int krg_cap_inheritable_effective;
} krg_cap_t;

int krg_capget(krg_cap_t *sets);
int krg_capset(const krg_cap_t *sets);
int krg_father_capget(krg_cap_t *sets);
int krg_father_capset(const krg_cap_t *sets);
int krg_pid_capget(pid_t pid, krg_cap_t *sets);
int krg_pid_capset(pid_t pid, const krg_cap_t *sets);

/* Those that change something; all others are kept and inherited, and nothing more. */
int krg_cap_get_supported(int *set);

#ifdef __cplusplus
}
#endif
#endif
