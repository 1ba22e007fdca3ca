/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nodelist.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer numbers are taken for text. */
#define DIGITS 15

struct nodelist {
	char **names;
	size_t count, room;
};

struct nodelist *nodelist_new(void)
{
	return calloc(1, sizeof(struct nodelist));
}

void nodelist_free(struct nodelist *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
	free(list);
}

static int push(struct nodelist *list, const char *name)
{
	if (list->count == NODELIST_MOST) {
		errno = ERANGE;
		return -1;
	}
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		char **names = realloc(list->names, room * sizeof(*names));
		if (!names)
			return -1;
		list->names = names;
		list->room = room;
	}
	list->names[list->count] = strdup(name);
	if (!list->names[list->count])
		return -1;
	list->count++;
	return 0;
}

/* Numbers by their value; what is the same so far, by its text. */
static int compare(const char *one, const char *other)
{
	const char *a = one, *b = other;

	while (*a && *b) {
		if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			a += strspn(a, "0");
			b += strspn(b, "0");
			size_t m = strspn(a, "0123456789"), n = strspn(b, "0123456789");
			int order = m != n ? (m < n ? -1 : 1) : strncmp(a, b, n);
			if (order)
				return order;
			a += m;
			b += n;
		} else if (*a != *b) {
			break;
		} else {
			a++;
			b++;
		}
	}
	if (*a != *b)
		return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
	return strcmp(one, other);
}

static int compare_names(const void *one, const void *other)
{
	return compare(*(char *const *)one, *(char *const *)other);
}

static void put_in_order(struct nodelist *list)
{
	size_t kept = 0;

	if (list->count)
		qsort(list->names, list->count, sizeof(*list->names), compare_names);
	for (size_t i = 0; i < list->count; i++) {
		if (kept && strcmp(list->names[kept - 1], list->names[i]) == 0)
			free(list->names[i]);
		else
			list->names[kept++] = list->names[i];
	}
	list->count = kept;
}

static int refuse(void)
{
	errno = EINVAL;
	return -1;
}

static int expand(struct nodelist *list, char *name, size_t length, const char *text);

/* Every number of a range, and then what comes behind the brackets. */
static int expand_range(struct nodelist *list, char *name, size_t length, const char *first,
			const char *last, const char *rest)
{
	int width = (int)strspn(first, "0123456789");
	unsigned long long from = strtoull(first, NULL, 10), to = strtoull(last, NULL, 10);

	if (from > to)
		return refuse();
	if (to - from >= NODELIST_MOST) {
		errno = ERANGE;
		return -1;
	}
	for (unsigned long long number = from; number <= to; number++) {
		int more = snprintf(name + length, NODELIST_LONGEST + 1 - length, "%0*llu", width,
				    number);
		if (length + more > NODELIST_LONGEST)
			return refuse();
		if (expand(list, name, length + more, rest))
			return -1;
	}
	return 0;
}

/* All ranges of a pair of brackets; `text` is behind the first of them. */
static int expand_brackets(struct nodelist *list, char *name, size_t length, const char *text)
{
	const char *end = strchr(text, ']');

	if (!end)
		return refuse();
	for (;;) {
		const char *first = text, *last = text;
		size_t digits = strspn(text, "0123456789");
		text += digits;
		if (*text == '-') {
			last = ++text;
			text += strspn(text, "0123456789");
		}
		if (!digits || digits > DIGITS || text == last || text - last > DIGITS)
			return refuse();
		if (expand_range(list, name, length, first, last, end + 1))
			return -1;
		if (text == end)
			return 0;
		if (*text++ != ',')
			return refuse();
	}
}

/* Add what a text means, up to the end of its first word; `name` has `length` characters already. */
static int expand(struct nodelist *list, char *name, size_t length, const char *text)
{
	for (; *text && *text != ',' && !isspace((unsigned char)*text); text++) {
		if (*text == '[')
			return expand_brackets(list, name, length, text + 1);
		if (!isalnum((unsigned char)*text) && !strchr("._-", *text))
			return refuse();
		if (length == NODELIST_LONGEST)
			return refuse();
		name[length++] = *text;
	}
	name[length] = '\0';
	return push(list, name);
}

/* Where a word ends. */
static const char *past(const char *text)
{
	int inside = 0;

	for (; *text && (inside || (*text != ',' && !isspace((unsigned char)*text))); text++) {
		if (*text == '[')
			inside = 1;
		else if (*text == ']')
			inside = 0;
	}
	return text;
}

int nodelist_add(struct nodelist *list, const char *text)
{
	char name[NODELIST_LONGEST + 1];
	size_t before = list->count;

	while (*(text += strspn(text, ", \t\r\n\v\f"))) {
		if (expand(list, name, 0, text)) {
			int fault = errno;
			while (list->count > before)
				free(list->names[--list->count]);
			errno = fault;
			return -1;
		}
		text = past(text);
	}
	put_in_order(list);
	return 0;
}

void nodelist_remove(struct nodelist *list, const struct nodelist *others)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		char **name = &list->names[i];
		if (others->count && bsearch(name, others->names, others->count, sizeof(*name),
					     compare_names))
			free(*name);
		else
			list->names[kept++] = *name;
	}
	list->count = kept;
}

size_t nodelist_count(const struct nodelist *list)
{
	return list->count;
}

const char *nodelist_name(const struct nodelist *list, size_t number)
{
	return number < list->count ? list->names[number] : NULL;
}

/* A name around its last number: `before` and `digits` are numbers of characters. */
struct parts {
	const char *name;
	size_t before, digits;
	unsigned long long number;
};

static struct parts taken_apart(const char *name)
{
	struct parts parts = { .name = name, .before = strlen(name) };
	size_t end = parts.before;

	while (end && !isdigit((unsigned char)name[end - 1]))
		end--;
	size_t start = end;
	while (start && isdigit((unsigned char)name[start - 1]))
		start--;
	if (end > start && end - start <= DIGITS) {
		parts.before = start;
		parts.digits = end - start;
		parts.number = strtoull(name + start, NULL, 10);
	}
	return parts;
}

/* Whether two names differ in the last number alone: as strcmp. */
static int compare_around(const struct parts *a, const struct parts *b)
{
	size_t shorter = a->before < b->before ? a->before : b->before;
	int order = strncmp(a->name, b->name, shorter);

	if (order)
		return order;
	if (a->before != b->before)
		return a->before < b->before ? -1 : 1;
	if (!a->digits != !b->digits)
		return a->digits ? 1 : -1;
	return strcmp(a->name + a->before + a->digits, b->name + b->before + b->digits);
}

static int compare_parts(const void *one, const void *other)
{
	const struct parts *a = one, *b = other;
	int order = compare_around(a, b);

	if (order)
		return order;
	if (a->digits != b->digits)
		return a->digits < b->digits ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

struct text {
	char *start;
	size_t length, room;
};

static int append(struct text *text, const char *format, ...)
{
	va_list words;

	if (text->room - text->length < 2 * NODELIST_LONGEST) {
		size_t room = 2 * text->room + 4 * NODELIST_LONGEST;
		char *start = realloc(text->start, room);
		if (!start)
			return -1;
		text->start = start;
		text->room = room;
	}
	va_start(words, format);
	text->length += vsnprintf(text->start + text->length, text->room - text->length, format,
				  words);
	va_end(words);
	return 0;
}

/* How many of some names go on as a range does that begins with the first. */
static size_t range_at(const struct parts *first, size_t left)
{
	char number[DIGITS + 2];
	size_t n = 1;

	for (; n < left && first->digits && !compare_around(first, first + n); n++) {
		int length = snprintf(number, sizeof(number), "%0*llu", (int)first->digits,
				      first->number + n);
		if ((size_t)length != first[n].digits || first[n].number != first->number + n)
			break;
	}
	return n;
}

/* Write all names that differ in the last number alone; how many these are, 0 without memory. */
static size_t fold_some(struct text *text, const struct parts *first, size_t left)
{
	size_t some = 1, n;

	while (some < left && first->digits && !compare_around(first, first + some))
		some++;
	if (append(text, text->length ? ",%.*s" : "%.*s", (int)first->before, first->name))
		return 0;
	for (size_t i = 0; i < some && first->digits; i += n) {
		const struct parts *from = first + i;
		n = range_at(from, some - i);
		if (append(text, i ? "," : some > 1 ? "[" : "") ||
		    append(text, "%.*s", (int)from->digits, from->name + from->before))
			return 0;
		if (n > 1 && append(text, "-%.*s", (int)from[n - 1].digits,
				    from[n - 1].name + from[n - 1].before))
			return 0;
	}
	if (append(text, "%s%s", some > 1 ? "]" : "", first->name + first->before + first->digits))
		return 0;
	return some;
}

char *nodelist_fold(const struct nodelist *list)
{
	struct text text = { 0 };
	struct parts *parts = malloc((list->count + 1) * sizeof(*parts));
	size_t n = 1;

	if (!parts)
		return NULL;
	for (size_t i = 0; i < list->count; i++)
		parts[i] = taken_apart(list->names[i]);
	qsort(parts, list->count, sizeof(*parts), compare_parts);
	int fault = append(&text, "");
	for (size_t i = 0; i < list->count && !fault; i += n) {
		n = fold_some(&text, parts + i, list->count - i);
		fault = !n;
	}
	free(parts);
	if (fault) {
		free(text.start);
		return NULL;
	}
	return text.start;
}
