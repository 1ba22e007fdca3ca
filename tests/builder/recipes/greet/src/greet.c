/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "greet.h"

const char *greet_word(void)
{
    return "helo";
}
