/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nodelist.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: nodelist [OPTION]... LIST...\n"
	"Write the names out that lists of nodes mean, each once, in order.\n"
	"A LIST is as in node[1-64],head; - stands for the standard input.\n"
	"\n"
	"  -f, --fold            write them as one short list\n"
	"  -c, --count           write how many there are\n"
	"  -s, --separator TEXT  write TEXT between names, not the end of a line\n"
	"  -x, --exclude LIST    leave these out; may be given again\n"
	"  -h, --help            show this and exit\n"
	"  -V, --version         show the version and exit\n";

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "nodelist: %s: %s\n", what, why);
	return 1;
}

static const char *reason(int fault)
{
	if (fault == EINVAL)
		return "this is no list of nodes; write it as in node[1-64],head";
	return fault == ERANGE ? "these are more nodes than a list can have" : strerror(fault);
}

static int add(struct nodelist *list, const char *text)
{
	return nodelist_add(list, text) ? fail(text, reason(errno)) : 0;
}

static int add_input(struct nodelist *list)
{
	char *line = NULL;
	size_t room = 0;
	int status = 0;

	while (!status && getline(&line, &room, stdin) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		status = add(list, line);
	}
	free(line);
	return status;
}

static int fold(const struct nodelist *list)
{
	char *text = nodelist_fold(list);

	if (!text)
		return fail("the list", strerror(ENOMEM));
	if (*text)
		puts(text);
	free(text);
	return 0;
}

int main(int count, char **words)
{
	static const struct option options[] = {
		{ "fold", no_argument, NULL, 'f' },
		{ "count", no_argument, NULL, 'c' },
		{ "separator", required_argument, NULL, 's' },
		{ "exclude", required_argument, NULL, 'x' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct nodelist *list = nodelist_new(), *others = nodelist_new();
	const char *separator = "\n";
	int option, what = 0, status = 0;

	if (!list || !others)
		return fail("the list", strerror(ENOMEM));
	while ((option = getopt_long(count, words, "fcs:x:hV", options, NULL)) != -1) {
		switch (option) {
		case 'f':
		case 'c':
			what = option;
			break;
		case 's':
			separator = optarg;
			break;
		case 'x':
			status |= add(others, optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("nodelist " PACKAGE_VERSION);
			return 0;
		default:
			return 2;
		}
	}
	if (optind == count) {
		fputs(usage, stderr);
		return 2;
	}
	for (; optind < count && !status; optind++)
		status = strcmp(words[optind], "-") ? add(list, words[optind]) : add_input(list);
	if (status)
		return status;
	nodelist_remove(list, others);
	if (what == 'f') {
		status = fold(list);
	} else if (what == 'c') {
		printf("%zu\n", nodelist_count(list));
	} else {
		for (size_t i = 0; i < nodelist_count(list); i++)
			printf("%s%s", i ? separator : "", nodelist_name(list, i));
		if (nodelist_count(list))
			putchar('\n');
	}
	nodelist_free(others);
	nodelist_free(list);
	if (fflush(stdout) || ferror(stdout))
		return fail("standard output", strerror(errno));
	return status;
}
