// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdlib>
#include <iostream>
#include <vector>

int main(int argc, char **argv)
{
    std::vector<double> sides(argv + 1 == argv + argc ? 0 : argc - 1);
    double area = 1;
    for (int i = 1; i < argc; i++)
        area *= sides[i - 1] = std::atof(argv[i]);
    std::cout << area << "\n";
}
