/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which nodes there are, and which are part of the cluster.
 *
 * What returns an int returns -1 with errno where it failed, what returns a pointer NULL;
 * krg_last_error() says more.
 */
#ifndef KERRIGHED_HOTPLUG_H
#define KERRIGHED_HOTPLUG_H

#include <kerrighed/node_set.h>

#ifdef __cplusplus
extern "C" {
#endif

struct krg_nodes;
struct krg_clusters;

/* 0 where the module is loaded and fits this library. */
int krg_hotplug_init(void);
int krg_check_hotplug(void);
int krg_check_container(void);			/* ENOSYS */

/* What all nodes are now, to be given to krg_nodes_destroy(). */
struct krg_nodes *krg_nodes_status(void);
struct krg_nodes *krg_nodes_create(void);	/* no node is anything */
void krg_nodes_destroy(struct krg_nodes *nodes);

/* How many are possible or more; how many are just this. */
int krg_nodes_num(const struct krg_nodes *nodes);
int krg_nodes_num_possible(const struct krg_nodes *nodes);
int krg_nodes_num_present(const struct krg_nodes *nodes);
int krg_nodes_num_online(const struct krg_nodes *nodes);

/* 1 or 0: is it just this? */
int krg_nodes_ispossible(const struct krg_nodes *nodes, int node);
int krg_nodes_ispresent(const struct krg_nodes *nodes, int node);
int krg_nodes_isonline(const struct krg_nodes *nodes, int node);

/* The first one after a node (-1: of all) that is just this, or -1. */
int krg_nodes_next(const struct krg_nodes *nodes, int node);
int krg_nodes_nextpossible(const struct krg_nodes *nodes, int node);
int krg_nodes_nextpresent(const struct krg_nodes *nodes, int node);
int krg_nodes_nextonline(const struct krg_nodes *nodes, int node);

/* Those that are just this, to be given to krg_node_set_destroy(). */
struct krg_node_set *krg_nodes_getpossible(const struct krg_nodes *nodes);
struct krg_node_set *krg_nodes_getpresent(const struct krg_nodes *nodes);
struct krg_node_set *krg_nodes_getonline(const struct krg_nodes *nodes);

/*
 * Tell nodes to do something; they have done it a moment later. EPERM for those who are not root,
 * ENODEV where one of them is not present: then nobody is told.
 */
int krg_nodes_add(const struct krg_node_set *set);
int krg_nodes_remove(const struct krg_node_set *set);
int krg_nodes_poweroff(const struct krg_node_set *set);
int krg_nodes_reboot(const struct krg_node_set *set);
int krg_nodes_fail(const struct krg_node_set *set);	/* ENOSYS */

/* A session is one cluster in this version: its id is 0. */
struct krg_clusters *krg_clusters_status(void);
void krg_clusters_destroy(struct krg_clusters *clusters);
int krg_clusters_isup(const struct krg_clusters *clusters, int cluster);
int krg_clusters_isdown(const struct krg_clusters *clusters, int cluster);
struct krg_nodes *krg_cluster_status(int cluster);
int krg_cluster_shutdown(int cluster);
int krg_cluster_reboot(int cluster);
int krg_set_cluster_creator(void *creator);	/* ENOSYS */
int krg_node_ready(int ready);			/* ENOSYS */

/* This node's id; how many nodes are online. */
int get_node_id(void);
int get_nr_nodes(void);

/* The last failure of this thread, in a sentence. */
const char *krg_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
