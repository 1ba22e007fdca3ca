// SPDX-License-Identifier: GPL-2.0-only
/* krgadm: the nodes of a Kerrighed cluster, seen and ordered from one of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kerrighed/kerrighed.h>

#include "choice.h"
#include "say.h"

const char *const program = "krgadm";

static const char usage[] =
	"usage: krgadm nodes status\n"
	"       krgadm nodes {add|del} {-n LIST | -c COUNT | -t TOTAL | -a}\n"
	"       krgadm cluster {status|start|wait_start|poweroff|reboot}\n"
	"\n"
	"LIST is like 1,3-5. See krgadm(1).\n";

/* Nodes do what they are told at their next beat, and say so in the one after it. */
#define PATIENCE 50	/* tenths of a second */

static void wait_a_tenth(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 100 * 1000 * 1000 }, NULL);
}

static struct krg_nodes *status_now(void)
{
	struct krg_nodes *nodes = krg_nodes_status();

	if (!nodes)
		die(krg_last_error());
	return nodes;
}

static int show_nodes(void)
{
	struct krg_nodes *nodes = status_now();
	int node = -1;

	while ((node = krg_nodes_next(nodes, node)) >= 0)
		printf("%d:%s\n", node, krg_nodes_isonline(nodes, node) ? "online" :
		       krg_nodes_ispresent(nodes, node) ? "present" : "possible");
	krg_nodes_destroy(nodes);
	return EXIT_SUCCESS;
}

static int is_done(const struct krg_node_set *set, int online)
{
	struct krg_nodes *nodes = status_now();
	int node = -1, done = 1;

	while ((node = krg_node_set_next(set, node)) >= 0)
		done &= krg_nodes_isonline(nodes, node) == online;
	krg_nodes_destroy(nodes);
	return done;
}

/* Tell the nodes of a set to be online or not, and wait until they are. */
static int put(const struct krg_node_set *set, int online)
{
	int tenths;

	if ((online ? krg_nodes_add : krg_nodes_remove)(set))
		die(krg_last_error());
	for (tenths = 0; tenths < PATIENCE; tenths++) {
		if (is_done(set, online))
			return EXIT_SUCCESS;
		wait_a_tenth();
	}
	die("not all of these nodes did it; see krgadm nodes status");
}

static int change_nodes(int count, char **words, int online)
{
	struct choice choice = read_choice(count, words);
	struct krg_nodes *nodes = status_now();
	struct krg_node_set *set = choose(&choice, nodes, online);
	int status = put(set, online);

	krg_node_set_destroy(set);
	krg_nodes_destroy(nodes);
	return status;
}

static int show_cluster(void)
{
	struct krg_nodes *nodes = status_now();
	int online = krg_nodes_num_online(nodes);

	if (online)
		printf("status: up on %d node%s\n", online, online == 1 ? "" : "s");
	else
		puts("status: down");
	krg_nodes_destroy(nodes);
	return EXIT_SUCCESS;
}

static int start_cluster(void)
{
	static char *all[] = { "start", "-a", NULL };

	return change_nodes(2, all, 1);
}

static int wait_for_cluster(void)
{
	int online;

	while (!(online = get_nr_nodes()))
		wait_a_tenth();
	if (online < 0)
		die(krg_last_error());
	return show_cluster();
}

static int stop_cluster(int (*stop)(int cluster))
{
	if (!get_nr_nodes())
		die("the cluster is not up");
	if (stop(0))
		die(krg_last_error());
	return EXIT_SUCCESS;
}

static int power_off(void)
{
	return stop_cluster(krg_cluster_shutdown);
}

static int reboot(void)
{
	return stop_cluster(krg_cluster_reboot);
}

static const struct {
	const char *about;
	const char *verb;
	int (*act)(void);
} commands[] = {
	{ "nodes", "status", show_nodes },
	{ "cluster", "status", show_cluster },
	{ "cluster", "start", start_cluster },
	{ "cluster", "wait_start", wait_for_cluster },
	{ "cluster", "poweroff", power_off },
	{ "cluster", "reboot", reboot },
};

int main(int count, char **words)
{
	unsigned int i;

	if (count == 2 && (!strcmp(words[1], "-h") || !strcmp(words[1], "--help"))) {
		fputs(usage, stdout);
		return EXIT_SUCCESS;
	}
	if (count < 3) {
		fputs(usage, stderr);
		return WRONG_USAGE;
	}
	for (i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (count == 3 && !strcmp(words[1], commands[i].about) &&
		    !strcmp(words[2], commands[i].verb))
			return commands[i].act();
	if (!strcmp(words[1], "nodes") && !strcmp(words[2], "add"))
		return change_nodes(count - 2, words + 2, 1);
	if (!strcmp(words[1], "nodes") && !strcmp(words[2], "del"))
		return change_nodes(count - 2, words + 2, 0);
	fputs(usage, stderr);
	return WRONG_USAGE;
}
