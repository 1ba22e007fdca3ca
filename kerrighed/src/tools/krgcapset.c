// SPDX-License-Identifier: GPL-2.0-only
/* krgcapset: show and set Kerrighed's capabilities of a process. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kerrighed/kerrighed.h>

#include "say.h"

const char *const program = "krgcapset";

static const char usage[] =
	"usage: krgcapset [-k PID] -s\n"
	"       krgcapset [-k PID] [-f] {-e|-p|-d|-i} {+CAP|-CAP|OCTAL} ...\n"
	"\n"
	"  -k PID  of this process, else of the one that calls\n"
	"  -s      show\n"
	"  -e -p   the effective, the permitted set\n"
	"  -d -i   what children have as their effective, their permitted set\n"
	"  -f      give what is missing to the wider sets, too\n"
	"\n"
	"CAP is a name that -s shows, or “all”. See krgcapset(1).\n";

static const char *const names[KRG_CAPS] = {
	"CHANGE_KERRIGHED_CAP", "CAN_MIGRATE", "DISTANT_FORK", "FORK_DELAY", "CHECKPOINTABLE",
	"USE_REMOTE_MEMORY", "USE_INTRA_CLUSTER_KERSTREAMS", "USE_INTER_CLUSTER_KERSTREAMS",
	"USE_WORLD_VISIBLE_KERSTREAMS", "SEE_LOCAL_PROC_STAT", "DEBUG", "SYSCALL_EXIT_HOOK",
};

static void show_set(const char *title, int set)
{
	int capability;

	printf("%s: %04o", title, set);
	for (capability = 0; capability < KRG_CAPS; capability++)
		if (set & 1 << capability)
			printf(" %s", names[capability]);
	putchar('\n');
}

static void show(pid_t pid)
{
	krg_cap_t sets;
	int supported;

	if (krg_pid_capget(pid, &sets) || krg_cap_get_supported(&supported))
		die(krg_last_error());
	show_set("permitted", sets.krg_cap_permitted);
	show_set("effective", sets.krg_cap_effective);
	show_set("inheritable permitted", sets.krg_cap_inheritable_permitted);
	show_set("inheritable effective", sets.krg_cap_inheritable_effective);
	show_set("supported", supported);
}

static int bits_of(const char *name)
{
	int capability;

	if (!strcmp(name, "all"))
		return KRG_CAP_ALL;
	for (capability = 0; capability < KRG_CAPS; capability++)
		if (!strcasecmp(name, names[capability]))
			return 1 << capability;
	misused("there is no such capability", name);
}

/* A set as “+CAP”, “-CAP” or an octal number changes it. */
static int changed(int set, const char *word)
{
	char *end;
	unsigned long value;

	if (*word == '+')
		return set | bits_of(word + 1);
	if (*word == '-')
		return set & ~bits_of(word + 1);
	errno = 0;
	value = strtoul(word, &end, 8);
	if (*word < '0' || *word > '7' || *end || errno || value > KRG_CAP_ALL)
		misused("neither +CAP nor -CAP nor an octal number up to 7777", word);
	return value;
}

struct wish {
	char option;
	const char *word;
};

static int *set_of(krg_cap_t *sets, char option)
{
	switch (option) {
	case 'e':
		return &sets->krg_cap_effective;
	case 'p':
		return &sets->krg_cap_permitted;
	case 'd':
		return &sets->krg_cap_inheritable_effective;
	default:
		return &sets->krg_cap_inheritable_permitted;
	}
}

static void set(pid_t pid, const struct wish *wishes, int count, int force)
{
	krg_cap_t sets;
	int i;

	if (krg_pid_capget(pid, &sets))
		die(krg_last_error());
	for (i = 0; i < count; i++) {
		int *wished = set_of(&sets, wishes[i].option);

		*wished = changed(*wished, wishes[i].word);
	}
	if (force) {
		sets.krg_cap_permitted |= sets.krg_cap_effective;
		sets.krg_cap_inheritable_permitted |= sets.krg_cap_inheritable_effective;
	}
	if (!krg_pid_capset(pid, &sets))
		return;
	die(errno == EINVAL ? "an effective set has more than its permitted set: -f widens that" :
	    krg_last_error());
}

static pid_t read_pid(const char *word)
{
	char *end;
	long pid = strtol(word, &end, 10);

	if (*end || pid < 1 || pid > 1 << 22)
		misused("not the id of a process", word);
	return pid;
}

int main(int count, char **words)
{
	static const struct option help[] = { { "help", no_argument, NULL, 'h' }, { 0 } };
	struct wish wishes[16];
	int option, wished = 0, force = 0, shows = 0;
	pid_t pid = getppid();

	opterr = 0;
	while ((option = getopt_long(count, words, "k:se:p:d:i:fh", help, NULL)) != -1) {
		switch (option) {
		case 'k':
			pid = read_pid(optarg);
			break;
		case 's':
			shows = 1;
			break;
		case 'f':
			force = 1;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case '?':
			misused("not an option, or one without its value", words[optind - 1]);
		default:
			if (wished == sizeof(wishes) / sizeof(*wishes))
				misused("too many changes at once", NULL);
			changed(0, optarg);
			wishes[wished++] = (struct wish){ option, optarg };
		}
	}
	if (optind < count)
		misused("not an option", words[optind]);
	if (shows == (wished > 0)) {
		fputs(usage, stderr);
		return WRONG_USAGE;
	}
	if (shows)
		show(pid);
	else
		set(pid, wishes, wished, force);
	return EXIT_SUCCESS;
}
