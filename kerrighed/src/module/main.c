// SPDX-License-Identifier: GPL-2.0-only
/* Start and end of the module. */
#define pr_fmt(fmt) "kerrighed: " fmt

#include <linux/module.h>
#include <linux/slab.h>

#include "module.h"

static int __init start_with(const struct krg_identity *identity)
{
	int error = krg_capabilities_start();

	if (error)
		return error;
	error = krg_wire_start(identity);
	if (error)
		goto no_wire;
	error = krg_sysfs_start();
	if (error)
		goto no_sysfs;
	error = krg_device_start();
	if (error)
		goto no_device;
	pr_info("node %u of session %u, interface %u.%u\n", identity->node, identity->session,
		KRG_INTERFACE_MAJOR, KRG_INTERFACE_MINOR);
	return 0;

no_device:
	krg_sysfs_stop();
no_sysfs:
	krg_wire_stop();
no_wire:
	krg_capabilities_stop();
	return error;
}

static int __init krg_start(void)
{
	struct krg_identity *identity = kzalloc(sizeof(*identity), GFP_KERNEL);
	int error;

	if (!identity)
		return -ENOMEM;
	error = krg_identity_find(identity);
	if (!error)
		error = start_with(identity);
	kfree_sensitive(identity);
	return error;
}

static void __exit krg_stop(void)
{
	krg_device_stop();
	krg_sysfs_stop();
	krg_wire_stop();
	krg_capabilities_stop();
}

module_init(krg_start);
module_exit(krg_stop);

MODULE_DESCRIPTION("Kerrighed's membership of nodes and capabilities of processes");
MODULE_AUTHOR("SSI-OSCAR developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(KRG_MODULE_VERSION);
MODULE_SOFTDEP("pre: hmac sha256");
