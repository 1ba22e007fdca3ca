// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

#define ONE_CLUSTER 0

struct krg_nodes {
	struct krg_node_table table;
};

struct krg_clusters {
	int online;
};

int krg_hotplug_init(void)
{
	struct krg_node_table table;

	return krg_ask(KRG_IOC_NODES, &table);
}

int krg_check_hotplug(void)
{
	return krg_hotplug_init();
}

struct krg_nodes *krg_nodes_create(void)
{
	return calloc(1, sizeof(struct krg_nodes));
}

void krg_nodes_destroy(struct krg_nodes *nodes)
{
	free(nodes);
}

struct krg_nodes *krg_nodes_status(void)
{
	struct krg_nodes *nodes = krg_nodes_create();
	int failed = !nodes || krg_ask(KRG_IOC_NODES, &nodes->table);

	if (!failed && nodes->table.self_state == KRG_SELF_CONFLICT)
		failed = krg_fail(ENOTUNIQ, "another node has the id %u of this one, which stands aside: load the module with another node_id",
				  nodes->table.self);
	if (!failed)
		return nodes;
	free(nodes);
	return NULL;
}

static int state(const struct krg_nodes *nodes, int node)
{
	return node < 0 || node >= KRG_MAX_NODES ? KRG_NODE_NONE : nodes->table.state[node];
}

/* The first one after a node whose state is between the two. */
static int next(const struct krg_nodes *nodes, int node, int least, int most)
{
	for (node = node < 0 ? 0 : node + 1; node < KRG_MAX_NODES; node++)
		if (state(nodes, node) >= least && state(nodes, node) <= most)
			return node;
	return -1;
}

static int count(const struct krg_nodes *nodes, int least, int most)
{
	int node = -1, found = 0;

	while ((node = next(nodes, node, least, most)) >= 0)
		found++;
	return found;
}

static struct krg_node_set *those(const struct krg_nodes *nodes, int wanted)
{
	struct krg_node_set *set = krg_node_set_create();
	int node = -1;

	while (set && (node = next(nodes, node, wanted, wanted)) >= 0)
		krg_node_set_add(set, node);
	return set;
}

int krg_nodes_num(const struct krg_nodes *nodes)
{
	return count(nodes, KRG_NODE_POSSIBLE, KRG_NODE_ONLINE);
}

int krg_nodes_next(const struct krg_nodes *nodes, int node)
{
	return next(nodes, node, KRG_NODE_POSSIBLE, KRG_NODE_ONLINE);
}

#define ABOUT(name, wanted)							\
	int krg_nodes_num_##name(const struct krg_nodes *nodes)			\
	{									\
		return count(nodes, wanted, wanted);				\
	}									\
	int krg_nodes_is##name(const struct krg_nodes *nodes, int node)		\
	{									\
		return state(nodes, node) == wanted;				\
	}									\
	int krg_nodes_next##name(const struct krg_nodes *nodes, int node)	\
	{									\
		return next(nodes, node, wanted, wanted);			\
	}									\
	struct krg_node_set *krg_nodes_get##name(const struct krg_nodes *nodes)	\
	{									\
		return those(nodes, wanted);					\
	}

ABOUT(possible, KRG_NODE_POSSIBLE)
ABOUT(present, KRG_NODE_PRESENT)
ABOUT(online, KRG_NODE_ONLINE)

static int tell(const struct krg_node_set *set, enum krg_command command)
{
	struct krg_order order = { .command = command };

	memcpy(order.nodes, set->nodes, sizeof(order.nodes));
	return krg_ask(KRG_IOC_ORDER, &order);
}

int krg_nodes_add(const struct krg_node_set *set)
{
	return tell(set, KRG_COMMAND_ADD);
}

int krg_nodes_remove(const struct krg_node_set *set)
{
	return tell(set, KRG_COMMAND_REMOVE);
}

int krg_nodes_poweroff(const struct krg_node_set *set)
{
	return tell(set, KRG_COMMAND_POWEROFF);
}

int krg_nodes_reboot(const struct krg_node_set *set)
{
	return tell(set, KRG_COMMAND_REBOOT);
}

struct krg_clusters *krg_clusters_status(void)
{
	struct krg_nodes *nodes = krg_nodes_status();
	struct krg_clusters *clusters = nodes ? calloc(1, sizeof(*clusters)) : NULL;

	if (clusters)
		clusters->online = krg_nodes_num_online(nodes);
	krg_nodes_destroy(nodes);
	return clusters;
}

void krg_clusters_destroy(struct krg_clusters *clusters)
{
	free(clusters);
}

int krg_clusters_isup(const struct krg_clusters *clusters, int cluster)
{
	return cluster == ONE_CLUSTER && clusters->online;
}

int krg_clusters_isdown(const struct krg_clusters *clusters, int cluster)
{
	return cluster == ONE_CLUSTER && !clusters->online;
}

struct krg_nodes *krg_cluster_status(int cluster)
{
	if (cluster == ONE_CLUSTER)
		return krg_nodes_status();
	krg_fail(EINVAL, "there is no cluster %d: a session is one cluster, 0", cluster);
	return NULL;
}

static int tell_online(int cluster, enum krg_command command)
{
	struct krg_nodes *nodes = krg_cluster_status(cluster);
	struct krg_node_set *set = nodes ? krg_nodes_getonline(nodes) : NULL;
	int failed = set ? tell(set, command) : -1;

	krg_node_set_destroy(set);
	krg_nodes_destroy(nodes);
	return failed;
}

int krg_cluster_shutdown(int cluster)
{
	return tell_online(cluster, KRG_COMMAND_POWEROFF);
}

int krg_cluster_reboot(int cluster)
{
	return tell_online(cluster, KRG_COMMAND_REBOOT);
}

int get_node_id(void)
{
	struct krg_node_table table;

	return krg_ask(KRG_IOC_NODES, &table) ? -1 : table.self;
}

int get_nr_nodes(void)
{
	struct krg_nodes *nodes = krg_nodes_status();
	int online = nodes ? krg_nodes_num_online(nodes) : -1;

	krg_nodes_destroy(nodes);
	return online;
}
