// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"

static int is_node(int node)
{
	return node >= 0 && node < KRG_MAX_NODES;
}

static int fault(int node)
{
	return krg_fail(EINVAL, "%d is not the id of a node: 0 to %d", node, KRG_MAX_NODES - 1);
}

struct krg_node_set *krg_node_set_create(void)
{
	return calloc(1, sizeof(struct krg_node_set));
}

void krg_node_set_destroy(struct krg_node_set *set)
{
	free(set);
}

void krg_node_set_clear(struct krg_node_set *set)
{
	memset(set, 0, sizeof(*set));
}

int krg_node_set_add(struct krg_node_set *set, int node)
{
	if (!is_node(node))
		return fault(node);
	set->nodes[node / 8] |= 1u << (node % 8);
	return 0;
}

int krg_node_set_remove(struct krg_node_set *set, int node)
{
	if (!is_node(node))
		return fault(node);
	set->nodes[node / 8] &= ~(1u << (node % 8));
	return 0;
}

int krg_node_set_contains(const struct krg_node_set *set, int node)
{
	return is_node(node) && set->nodes[node / 8] >> (node % 8) & 1;
}

int krg_node_set_weight(const struct krg_node_set *set)
{
	int node, count = 0;

	for (node = 0; node < KRG_MAX_NODES; node++)
		count += krg_node_set_contains(set, node);
	return count;
}

int krg_node_set_next(const struct krg_node_set *set, int node)
{
	for (node = node < 0 ? 0 : node + 1; node < KRG_MAX_NODES; node++)
		if (krg_node_set_contains(set, node))
			return node;
	return -1;
}
