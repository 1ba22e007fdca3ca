/* SPDX-License-Identifier: GPL-2.0-only */
/* Sets of nodes, by their ids. */
#ifndef KERRIGHED_NODE_SET_H
#define KERRIGHED_NODE_SET_H

#ifdef __cplusplus
extern "C" {
#endif

#define KERRIGHED_MAX_NODES 256

struct krg_node_set;

/* An empty set, or NULL without memory. */
struct krg_node_set *krg_node_set_create(void);
void krg_node_set_destroy(struct krg_node_set *set);
void krg_node_set_clear(struct krg_node_set *set);

/* 0, or -1 with errno EINVAL for an id that no node can have. */
int krg_node_set_add(struct krg_node_set *set, int node);
int krg_node_set_remove(struct krg_node_set *set, int node);

/* 1 or 0. */
int krg_node_set_contains(const struct krg_node_set *set, int node);
/* How many there are. */
int krg_node_set_weight(const struct krg_node_set *set);
/* The first one after a node, -1 for the first of all; -1 where there is none. */
int krg_node_set_next(const struct krg_node_set *set, int node);

#ifdef __cplusplus
}
#endif
#endif
