/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include "greet.h"

int main(int argc, char **argv)
{
    printf("%s, %s\n", greet_word(), argc > 1 ? argv[1] : "world");
    return 0;
}
