/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GREET_H
#define GREET_H
const char *greet_word(void);
#endif
