// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kerrighed: what this node is, and how often what happened. All of it is only to be read. */
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "module.h"

#define SHOW(name, format, value)							\
	static ssize_t name##_show(struct kobject *object, struct kobj_attribute *attribute,	\
				   char *buffer)					\
	{										\
		return sysfs_emit(buffer, format "\n", value);				\
	}										\
	static struct kobj_attribute name##_attribute = __ATTR_RO(name)

static struct krg_node_table nodes_now(void)
{
	struct krg_node_table nodes;

	krg_wire_nodes(&nodes);
	return nodes;
}

static const char *state_name(void)
{
	static const char *const names[] = { "joining", "present", "online", "conflict" };

	return names[nodes_now().self_state];
}

SHOW(abi, "%u", KRG_INTERFACE_MAJOR);
SHOW(node_id, "%u", nodes_now().self);
SHOW(session_id, "%u", nodes_now().session);
SHOW(subsession_id, "%d", 0);		/* a session is one cluster */
SHOW(max_nodes, "%d", KRG_MAX_NODES);
SHOW(max_subclusters, "%d", 1);
SHOW(nb_nodes_min, "%u", nodes_now().nb_nodes_min);
SHOW(net_devices, "%s", krg_wire_devices());
SHOW(state, "%s", state_name());

static struct attribute *top[] = {
	&abi_attribute.attr,
	&node_id_attribute.attr,
	&session_id_attribute.attr,
	&subsession_id_attribute.attr,
	&max_nodes_attribute.attr,
	&max_subclusters_attribute.attr,
	&nb_nodes_min_attribute.attr,
	&net_devices_attribute.attr,
	&state_attribute.attr,
	NULL
};

SHOW(sent, "%llu", krg_wire_counter(KRG_SENT));
SHOW(received, "%llu", krg_wire_counter(KRG_RECEIVED));
SHOW(malformed, "%llu", krg_wire_counter(KRG_COUNT_MALFORMED));
SHOW(foreign, "%llu", krg_wire_counter(KRG_COUNT_FOREIGN));
SHOW(forged, "%llu", krg_wire_counter(KRG_COUNT_FORGED));
SHOW(old, "%llu", krg_wire_counter(KRG_COUNT_OLD));
SHOW(dropped, "%llu", krg_wire_counter(KRG_COUNT_DROPPED));

static struct attribute *messages[] = {
	&sent_attribute.attr,
	&received_attribute.attr,
	&malformed_attribute.attr,
	&foreign_attribute.attr,
	&forged_attribute.attr,
	&old_attribute.attr,
	&dropped_attribute.attr,
	NULL
};

static const struct attribute_group top_group = { .attrs = top };
static const struct attribute_group messages_group = { .name = "messages", .attrs = messages };
static const struct attribute_group *groups[] = { &top_group, &messages_group, NULL };

static struct kobject *folder;

/**
 * krg_sysfs_start() - show /sys/kerrighed
 *
 * Return: 0 or an error.
 */
int krg_sysfs_start(void)
{
	int error;

	folder = kobject_create_and_add("kerrighed", NULL);
	if (!folder)
		return -ENOMEM;
	error = sysfs_create_groups(folder, groups);
	if (error)
		kobject_put(folder);
	return error;
}

/** krg_sysfs_stop() - take /sys/kerrighed away */
void krg_sysfs_stop(void)
{
	sysfs_remove_groups(folder, groups);
	kobject_put(folder);
}
