/* SPDX-License-Identifier: GPL-2.0-only */
/* Which nodes krgadm's options mean. */
#ifndef KRG_CHOICE_H
#define KRG_CHOICE_H

#include <kerrighed/hotplug.h>

struct choice {
	char how;	/* n, c, t or a: the option */
	int number;	/* of -c and -t */
	struct krg_node_set *list;	/* of -n */
};

/* Read “COMMAND -n LIST” and its like; ends the program where that is wrong. */
struct choice read_choice(int count, char **words);

/*
 * Those of the nodes that are to become online (or not to be online any more). Ends the program
 * where there are not enough of them.
 */
struct krg_node_set *choose(const struct choice *choice, const struct krg_nodes *nodes, int online);

#endif
