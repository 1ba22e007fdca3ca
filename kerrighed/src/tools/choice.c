// SPDX-License-Identifier: GPL-2.0-only
#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>

#include "choice.h"
#include "say.h"

#define MOST KERRIGHED_MAX_NODES

static const struct option options[] = {
	{ "nodes", required_argument, NULL, 'n' },
	{ "count", required_argument, NULL, 'c' },
	{ "total", required_argument, NULL, 't' },
	{ "all", no_argument, NULL, 'a' },
	{ NULL, 0, NULL, 0 },
};

/* A number of at most MOST that a text begins with, or -1; `rest` is what follows it. */
static int number(const char *text, const char **rest)
{
	int value = 0;

	if (!isdigit((unsigned char)*text))
		return -1;
	for (; isdigit((unsigned char)*text); text++) {
		value = value * 10 + (*text - '0');
		if (value > MOST)
			return -1;
	}
	*rest = text;
	return value;
}

/* Put the nodes of “3” or “3-5” into a set. Returns what follows, or NULL. */
static const char *read_range(const char *text, struct krg_node_set *set)
{
	const char *rest;
	int first = number(text, &rest);
	int last = first >= 0 && *rest == '-' ? number(rest + 1, &rest) : first;

	if (first < 0 || last < first || last >= MOST)
		return NULL;
	while (first <= last)
		krg_node_set_add(set, first++);
	return rest;
}

static struct krg_node_set *read_list(const char *text)
{
	struct krg_node_set *set = krg_node_set_create();
	const char *rest = text;

	if (!set)
		die("no memory");
	for (;;) {
		rest = read_range(rest, set);
		if (rest && !*rest)
			return set;
		if (!rest || *rest++ != ',')
			misused("not a list of nodes like 1,3-5", text);
	}
}

static int read_count(const char *text)
{
	const char *rest;
	int value = number(text, &rest);

	if (value < 1 || *rest)
		misused("not a number from 1 to 256", text);
	return value;
}

struct choice read_choice(int count, char **words)
{
	struct choice choice = { 0 };
	int option;

	opterr = 0;
	while ((option = getopt_long(count, words, "n:c:t:a", options, NULL)) != -1) {
		if (option == '?')
			misused("not an option, or one without its value", words[optind - 1]);
		if (choice.how)
			misused("only one of -n, -c, -t and -a is possible", NULL);
		choice.how = option;
		if (option == 'n')
			choice.list = read_list(optarg);
		if (option == 'c' || option == 't')
			choice.number = read_count(optarg);
	}
	if (optind < count)
		misused("not an option", words[optind]);
	if (!choice.how)
		misused("one of -n, -c, -t and -a is needed", NULL);
	return choice;
}

/* The last ones of a set go first, so that those with the small ids stay. */
static void shrink(struct krg_node_set *set, int weight, int from_the_end)
{
	int node = -1, step;

	for (step = 0; step < MOST && krg_node_set_weight(set) > weight; step++) {
		node = from_the_end ? MOST - 1 - step : krg_node_set_next(set, -1);
		krg_node_set_remove(set, node);
	}
}

struct krg_node_set *choose(const struct choice *choice, const struct krg_nodes *nodes, int online)
{
	struct krg_node_set *set;
	int wanted = choice->number;
	int up = krg_nodes_num_online(nodes);

	if (choice->how == 'n')
		return choice->list;
	set = online ? krg_nodes_getpresent(nodes) : krg_nodes_getonline(nodes);
	if (!set)
		die("no memory");
	if (choice->how == 'a')
		return set;
	if (choice->how == 't')
		wanted = online ? choice->number - up : up - choice->number;
	if (wanted < 0)
		wanted = 0;
	if (krg_node_set_weight(set) < wanted)
		die(online ? "there are not as many nodes present" :
		    "there are not as many nodes online");
	shrink(set, wanted, online);
	return set;
}
