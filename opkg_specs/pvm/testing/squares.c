/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A parent and as many children as it is told to start: each squares a number, and the parent adds
   up what comes back. The children run wherever PVM puts them, from the path of the parent. */
#include <pvm3.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORK = 1, RESULT = 2, MOST = 1024 };

static void send(int task, int tag, int number)
{
    pvm_initsend(PvmDataDefault);
    pvm_pkint(&number, 1, 1);
    pvm_send(task, tag);
}

static int receive(int task, int tag)
{
    int number = 0;

    pvm_recv(task, tag);
    pvm_upkint(&number, 1, 1);
    return number;
}

int main(int count, char **words)
{
    int parent = pvm_parent();
    int children[MOST];
    int wanted, sum = 0;

    if (parent > 0) {
        int number = receive(parent, WORK);

        send(parent, RESULT, number * number);
        pvm_exit();
        return 0;
    }
    wanted = count == 3 ? atoi(words[2]) : 0;
    if (wanted < 1 || wanted > MOST) {
        fprintf(stderr, "usage: squares PATH COUNT\n");
        return 2;
    }
    if (pvm_spawn(words[1], NULL, PvmTaskDefault, "", wanted, children) != wanted) {
        fprintf(stderr, "squares: not all children were started\n");
        pvm_exit();
        return 1;
    }
    for (int i = 0; i < wanted; i++)
        send(children[i], WORK, i + 1);
    for (int i = 0; i < wanted; i++)
        sum += receive(-1, RESULT);
    printf("%d children, sum %d\n", wanted, sum);
    pvm_exit();
    return 0;
}
