// SPDX-License-Identifier: GPL-2.0-only
/* /dev/kerrighed, through which programs ask and order: see interface.h. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "module.h"

static long give(void __user *to, const void *answer, size_t size)
{
	return copy_to_user(to, answer, size) ? -EFAULT : 0;
}

static long version(void __user *argument)
{
	static const struct krg_version ours = { KRG_INTERFACE_MAJOR, KRG_INTERFACE_MINOR };

	return give(argument, &ours, sizeof(ours));
}

static long supported(void __user *argument)
{
	static const u32 set = KRG_CAP_SUPPORTED;

	return give(argument, &set, sizeof(set));
}

static long nodes(void __user *argument)
{
	struct krg_node_table *known = kzalloc(sizeof(*known), GFP_KERNEL);
	long error;

	if (!known)
		return -ENOMEM;
	krg_wire_nodes(known);
	error = give(argument, known, sizeof(*known));
	kfree(known);
	return error;
}

static long order(void __user *argument)
{
	struct krg_order wanted;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (copy_from_user(&wanted, argument, sizeof(wanted)))
		return -EFAULT;
	return krg_wire_order(&wanted);
}

static long get_capabilities(void __user *argument)
{
	struct krg_capabilities sets;
	int error;

	if (copy_from_user(&sets, argument, sizeof(sets)))
		return -EFAULT;
	error = krg_capabilities_get(&sets);
	return error ?: give(argument, &sets, sizeof(sets));
}

static long set_capabilities(void __user *argument)
{
	struct krg_capabilities sets;

	if (copy_from_user(&sets, argument, sizeof(sets)))
		return -EFAULT;
	return krg_capabilities_set(&sets);
}

static long request(struct file *file, unsigned int what, unsigned long argument)
{
	void __user *place = (void __user *)argument;

	switch (what) {
	case KRG_IOC_VERSION:
		return version(place);
	case KRG_IOC_NODES:
		return nodes(place);
	case KRG_IOC_ORDER:
		return order(place);
	case KRG_IOC_CAP_GET:
		return get_capabilities(place);
	case KRG_IOC_CAP_SET:
		return set_capabilities(place);
	case KRG_IOC_CAP_SUPPORTED:
		return supported(place);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = request,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kerrighed",
	.fops = &operations,
	.mode = 0666,	/* what changes something asks who asks */
};

/**
 * krg_device_start() - offer /dev/kerrighed
 *
 * Return: 0 or an error.
 */
int krg_device_start(void)
{
	return misc_register(&device);
}

/** krg_device_stop() - offer /dev/kerrighed no more */
void krg_device_stop(void)
{
	misc_deregister(&device);
}
