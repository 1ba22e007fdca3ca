/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes the squares of 0 to 9 into the data set “squares” of a new file, and reads them again. */

#include <hdf5.h>

#define COUNT 10

int main(int argc, char **argv)
{
    int written[COUNT], again[COUNT], number;
    hsize_t length = COUNT;
    hid_t file, space, set;

    if (argc != 2)
        return 2;
    for (number = 0; number < COUNT; number++)
        written[number] = number * number;

    file = H5Fcreate(argv[1], H5F_ACC_EXCL, H5P_DEFAULT, H5P_DEFAULT);
    space = H5Screate_simple(1, &length, NULL);
    set = H5Dcreate2(file, "squares", H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (H5Dwrite(set, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, written) < 0)
        return 1;
    H5Dclose(set);
    H5Sclose(space);
    if (H5Fclose(file) < 0)
        return 1;

    file = H5Fopen(argv[1], H5F_ACC_RDONLY, H5P_DEFAULT);
    set = H5Dopen2(file, "squares", H5P_DEFAULT);
    if (H5Dread(set, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, again) < 0)
        return 1;
    H5Dclose(set);
    H5Fclose(file);
    for (number = 0; number < COUNT; number++)
        if (again[number] != written[number])
            return 1;
    return 0;
}
