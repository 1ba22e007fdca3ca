# SPDX-License-Identifier: GPL-2.0-or-later
"""One module for each step; the first changes the first catalogs, which did not name their form."""
