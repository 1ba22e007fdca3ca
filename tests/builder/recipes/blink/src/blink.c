// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/init.h>
#include <linux/module.h>

static int __init blink_init(void)
{
	pr_info("blink: on\n");
	return 0;
}

static void __exit blink_exit(void)
{
	pr_info("blink: off\n");
}

module_init(blink_init);
module_exit(blink_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Says that it is there");
