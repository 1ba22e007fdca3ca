/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>

int main(void)
{
	for (int stroke = 0; stroke < STROKES; stroke++)
		puts("dong");
	return 0;
}
