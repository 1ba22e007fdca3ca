/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of nodes. A list is written as names with commas or white space between them; numbers in
 * which names differ may stand in brackets: node[1-3,7] is node1 node2 node3 node7, node[08-10]
 * is node08 node09 node10. A name may have several pairs of brackets. A list has each name once,
 * and in order: numbers in names count as numbers.
 */
#ifndef NODELIST_H
#define NODELIST_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* So many names can be in a list, and so many characters in a name. */
#define NODELIST_MOST 1000000
#define NODELIST_LONGEST 253

struct nodelist;

/* An empty list; NULL where there is no memory. */
struct nodelist *nodelist_new(void);
void nodelist_free(struct nodelist *list);

/*
 * Add the names that a text means. 0, or -1 with errno EINVAL for a text that is no list, ERANGE
 * for more names than there can be, or ENOMEM; then the list is as it was.
 */
int nodelist_add(struct nodelist *list, const char *text);

/* Take the names that another list has out of a list. */
void nodelist_remove(struct nodelist *list, const struct nodelist *others);

size_t nodelist_count(const struct nodelist *list);

/* A name, counted from 0; it stays as long as the list is not changed. NULL where there is none. */
const char *nodelist_name(const struct nodelist *list, size_t number);

/* The list written short; free() it. NULL where there is no memory. */
char *nodelist_fold(const struct nodelist *list);

#ifdef __cplusplus
}
#endif

#endif
