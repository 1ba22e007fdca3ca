// SPDX-License-Identifier: GPL-2.0-only
/*
 * /etc/kerrighed_nodes, the file that gives every host of a cluster its number:
 *
 *	session=1
 *	nbmin=2
 *	node1:0
 *	node2:1:eth1
 *
 * Empty lines and lines that start with “#” are skipped. Nothing else is let through: a node
 * that misreads its number harms the others.
 */
#include "nodes_file.h"

struct piece {
	const char *text;
	size_t length;
};

/* Cut what stands before a mark off the front; all of it where there is no mark. */
static struct piece cut(struct piece *rest, char mark)
{
	const char *end = rest->length ? memchr(rest->text, mark, rest->length) : NULL;
	struct piece front = { rest->text, end ? (size_t)(end - rest->text) : rest->length };
	size_t taken = front.length + (end ? 1 : 0);

	rest->text += taken;
	rest->length -= taken;
	return front;
}

static bool starts_with(struct piece *line, const char *prefix)
{
	size_t length = strlen(prefix);

	if (line->length < length || memcmp(line->text, prefix, length))
		return false;
	line->text += length;
	line->length -= length;
	return true;
}

/* A number in digits alone, or -1 where it is none or is not between the two. */
static int number(struct piece digits, int low, int high)
{
	int value = 0;
	size_t i;

	if (!digits.length || digits.length > 5)
		return -1;
	for (i = 0; i < digits.length; i++) {
		if (digits.text[i] < '0' || digits.text[i] > '9')
			return -1;
		value = value * 10 + (digits.text[i] - '0');
	}
	return value < low || value > high ? -1 : value;
}

static bool is_word(struct piece word, size_t longest)
{
	size_t i;

	for (i = 0; i < word.length; i++) {
		char c = word.text[i];

		if (c <= ' ' || c > '~' || c == '/')
			return false;
	}
	return word.length && word.length < longest;
}

/* Is it this name, or its part before the first dot? */
static bool is_host(struct piece word, const char *host)
{
	const char *dot = strchr(host, '.');
	size_t brief = dot ? (size_t)(dot - host) : strlen(host);

	if (!word.length)
		return false;
	if (word.length == strlen(host) && !memcmp(word.text, host, word.length))
		return true;
	return word.length == brief && !memcmp(word.text, host, brief);
}

static const char *setting(struct piece digits, int low, int high, int *value, const char *range)
{
	if (*value >= 0)
		return "said twice";
	*value = number(digits, low, high);
	return *value < 0 ? range : NULL;
}

static const char *read_host(struct piece line, const char *host, struct krg_nodes_file *found)
{
	struct piece name = cut(&line, ':');
	size_t before = line.length;
	struct piece id = cut(&line, ':');
	bool has_device = id.length < before;	/* the second colon is gone, too */
	int node = number(id, 0, KRG_MAX_NODES - 1);

	if (!is_word(name, KRG_NAME_MAX) || !id.length)
		return "not a line of session=N, nbmin=N or host:id[:device]";
	if (node < 0)
		return "a node's id is a number from 0 to 255";
	if (has_device && !is_word(line, KRG_DEVICE_MAX))
		return "not the name of a network device";
	if (krg_in_set(found->listed, node))
		return "a second host with this id";
	krg_into_set(found->listed, node);
	if (!is_host(name, host))
		return NULL;
	if (found->node >= 0)
		return "a second line for this host";
	found->node = node;
	if (has_device)
		memcpy(found->device, line.text, line.length);
	return NULL;
}

static const char *read_line(struct piece line, const char *host, struct krg_nodes_file *found)
{
	if (!line.length || line.text[0] == '#')
		return NULL;
	if (starts_with(&line, "session="))
		return setting(line, 1, KRG_MAX_SESSION, &found->session,
			       "a session is a number from 1 to 9999");
	if (starts_with(&line, "nbmin="))
		return setting(line, 1, KRG_MAX_NODES, &found->nbmin,
			       "nbmin is a number from 1 to 256");
	return read_host(line, host, found);
}

/**
 * krg_read_nodes() - read /etc/kerrighed_nodes
 * @text: what is in the file
 * @length: how many bytes that are
 * @host: the name of this host; it also matches without its domain
 * @found: what the file says to this host
 * @fault: what is wrong with the file
 *
 * Return: 0, or -EINVAL with @fault.
 */
int krg_read_nodes(const char *text, size_t length, const char *host,
		   struct krg_nodes_file *found, struct krg_fault *fault)
{
	struct piece rest = { text, length };

	memset(found, 0, sizeof(*found));
	found->session = -1;
	found->nbmin = -1;
	found->node = -1;
	fault->line = 0;
	fault->reason = "longer than 4096 bytes";
	if (length > KRG_NODES_FILE_MAX)
		return -EINVAL;
	while (rest.length) {
		fault->line++;
		fault->reason = read_line(cut(&rest, '\n'), host, found);
		if (fault->reason)
			return -EINVAL;
	}
	return 0;
}
