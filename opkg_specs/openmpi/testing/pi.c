/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each process integrates a share of 4 / (1 + x^2) from 0 to 1; the shares add up to pi. Prints
 * it and how many took part; fails if it is not pi. */

#include <math.h>
#include <mpi.h>
#include <stdio.h>

#define STEPS 100000

int main(int argc, char **argv)
{
    const double pi = 3.14159265358979;
    double share = 0, sum = 0;
    int rank, size, step;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    for (step = rank; step < STEPS; step += size) {
        double x = (step + 0.5) / STEPS;
        share += 4 / (1 + x * x) / STEPS;
    }
    MPI_Allreduce(&share, &sum, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0)
        printf("%d processes, pi is %.6f\n", size, sum);
    MPI_Finalize();
    return fabs(sum - pi) > 1e-6;
}
