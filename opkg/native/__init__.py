# SPDX-License-Identifier: GPL-2.0-or-later
"""Root file systems and their package managers, without a word of OPKGs: what the builder does its
work in, and what OPD installs into.

    make_root   a root of a target, by mmdebstrap, dnf or zypper
    mounts      an overlay over it, seen by one process alone; removing trees safely
    layers      a new state of a root from the old one and the layer of its changes
    guest       command lines that run programs in a root
    installer   apt, dnf or zypper working on a root
"""
