// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Holds a request to the kernel's power management: no sleep from which a processor needs longer
 * to wake than so many microseconds. A program can do the same through /dev/cpu_dma_latency, as
 * long as it runs.
 */
#include <linux/init.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/pm_qos.h>

static struct pm_qos_request request;
static unsigned int usec = 2;

static int set_usec(const char *text, const struct kernel_param *parameter)
{
	unsigned int wanted;
	int fault = kstrtouint(text, 0, &wanted);

	if (fault)
		return fault;
	if (wanted > S32_MAX)
		return -ERANGE;
	usec = wanted;
	/* Not yet on the command line that loads the module. */
	if (cpu_latency_qos_request_active(&request))
		cpu_latency_qos_update_request(&request, usec);
	return 0;
}

static const struct kernel_param_ops usec_ops = {
	.set = set_usec,
	.get = param_get_uint,
};

module_param_cb(usec, &usec_ops, &usec, 0644);
MODULE_PARM_DESC(usec, "microseconds that a processor may need to wake (default: 2)");

static int __init lowlatency_init(void)
{
	cpu_latency_qos_add_request(&request, usec);
	return 0;
}

static void __exit lowlatency_exit(void)
{
	cpu_latency_qos_remove_request(&request);
}

module_init(lowlatency_init);
module_exit(lowlatency_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Keeps processors from deep sleep");
