// SPDX-License-Identifier: GPL-2.0-only
#include <unistd.h>

#include <kerrighed/capability.h>

#include "device.h"

static int get(pid_t pid, krg_cap_t *sets)
{
	struct krg_capabilities asked = { .pid = pid };

	if (krg_ask(KRG_IOC_CAP_GET, &asked))
		return -1;
	sets->krg_cap_effective = asked.effective;
	sets->krg_cap_permitted = asked.permitted;
	sets->krg_cap_inheritable_permitted = asked.inheritable_permitted;
	sets->krg_cap_inheritable_effective = asked.inheritable_effective;
	return 0;
}

static int set(pid_t pid, const krg_cap_t *sets)
{
	struct krg_capabilities wanted = {
		.pid = pid,
		.effective = sets->krg_cap_effective,
		.permitted = sets->krg_cap_permitted,
		.inheritable_permitted = sets->krg_cap_inheritable_permitted,
		.inheritable_effective = sets->krg_cap_inheritable_effective,
	};

	return krg_ask(KRG_IOC_CAP_SET, &wanted);
}

int krg_capget(krg_cap_t *sets)
{
	return get(0, sets);
}

int krg_capset(const krg_cap_t *sets)
{
	return set(0, sets);
}

int krg_father_capget(krg_cap_t *sets)
{
	return get(getppid(), sets);
}

int krg_father_capset(const krg_cap_t *sets)
{
	return set(getppid(), sets);
}

int krg_pid_capget(pid_t pid, krg_cap_t *sets)
{
	return get(pid, sets);
}

int krg_pid_capset(pid_t pid, const krg_cap_t *sets)
{
	return set(pid, sets);
}

int krg_cap_get_supported(int *supported)
{
	return krg_ask(KRG_IOC_CAP_SUPPORTED, supported);
}
