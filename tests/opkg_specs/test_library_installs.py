# SPDX-License-Identifier: GPL-2.0-or-later
"""Every OPKG of the library on a head node and in an image, both a fresh Debian 12: installed by
apt with what it truly needs, set up twice, tested by its own programs, and gone without a trace.
"""

from __future__ import annotations

import pytest

from opkg.directory import read_opkg
from opkg.resolve import PACKAGES_DIR, applies
from opkg.target import known_targets
from tests.opkg_specs.machines import IMAGE, Machine
from tests.opkg_specs.running import SPECS, needs_root

pytestmark = pytest.mark.slow

TARGET = known_targets().find("debian-12-x86_64")
OPKGS = [
    path.parent.name
    for path in sorted(SPECS.glob("*/config.xml"))
    if applies(read_opkg(path.parent)[0].availability, TARGET) and not needs_root(path.parent.name)
]
# What has to run while an OPKG's own tests do, since no systemd starts it here.
SERVICES = {
    "ganglia": "gmond",
    "loghost": "rsyslogd",
    "munge": "install -d -o munge /run/munge; runuser -u munge munged",
    "ntpconfig": "chronyd -x",  # -x: the clock is not touched
    "pfilter": "pfilter start",
}
# What an OPKG is known by to have been set up on the head node.
WRITES = {
    "c3": "/etc/c3.conf",
    "criu": "/etc/criu/default.conf",
    "ganglia": "/etc/ganglia/gmond.conf.before-oscar",
    "hdf5": "/etc/profile.d/oscar-hdf5.sh",
    "loghost": "/etc/rsyslog.d/10-oscar-loghost.conf",
    "mpich": "/etc/mpich/machines",
    "nodestatus": "/etc/nodestatus.conf",
    "nfs": "/etc/exports.d/oscar.exports",
    "ntpconfig": "/etc/chrony/conf.d/oscar-server.conf",
    "openmpi": "/etc/openmpi/machines",
    "openssh": "/etc/ssh/ssh_known_hosts",
    "opd": "/usr/lib/opd/opd/__pycache__/cli.cpython-311.pyc",
    "pfilter": "/etc/pfilter.nft",
    "pvm": "/etc/pvm/hosts",
    "sis": "/etc/systemimager/exclude.local",
    "slurm": "/etc/slurm/slurm.conf",
}
# Software that may be too old for the kernel of this machine: how that is told, and what the
# OPKG's own tests have to say then. test_on_debian_13.py has the same with newer software.
KERNELS = {"criu": ("criu check", "do not fit")}
# Two nodes are defined, and none of them is up.
NODES = "printf 'node1\\nnode2\\n' > /tmp/nodes"
HEAD_PHASES = (
    "api-post-install", "api-pre-configure", "api-post-configure", "server-post-install",
    f"api-post-image {IMAGE}", "api-post-clientdef",
)  # fmt: skip
IMAGE_PHASES = ("client-post-install",)
TESTS = """
[ ! -x testing/test_root ] || testing/test_root
if [ -x testing/test_user ]; then
    useradd --create-home oscartst
    su - oscartst -c "$PWD/testing/test_user"
    userdel --remove oscartst 2> /dev/null
fi
"""


def run_phases(machine: Machine, opkg: str, phases: tuple[str, ...]) -> None:
    """Run those of the scripts that the OPKG has, as OPD does."""
    lines = [NODES, "export OSCAR_NODES=/tmp/nodes"]
    lines += [f"[ ! -x {phase.split()[0]} ] || ./{phase}" for phase in phases]
    # No node is up that this one could reach.
    lines.append("[ ! -x api-post-deploy ] || OSCAR_NODES=/dev/null ./api-post-deploy")
    machine.check("\n".join(entered(opkg, lines)))


def entered(opkg: str, lines: list[str]) -> list[str]:
    """What is to be done in the folder of an OPKG, if there is one."""
    home = f"{PACKAGES_DIR}/{opkg}"
    return [f"[ -d {home} ] || exit 0", f"export OSCAR_PACKAGE_HOME={home}; cd {home}", *lines]


def run_tests(head: Machine, name: str) -> None:
    """Run the OPKG's own tests: they have to pass, or to tell of a kernel that does not fit."""
    script = "\n".join(entered(name, [SERVICES.get(name, ""), TESTS]))
    if name in KERNELS:
        fits, told = KERNELS[name]
        if head.run(fits).status != 0:
            refused = head.run(script)
            assert refused.status != 0
            assert told in refused.err
            return
    head.check(script)


@pytest.mark.parametrize("name", OPKGS)
def test_installs_works_twice_and_goes(name: str, machines: tuple[Machine, Machine]) -> None:
    head, image = machines
    parts = {image: (f"opkg-{name}-client",), head: (f"opkg-{name}", f"opkg-{name}-server")}
    before = {}
    for machine, packages in parts.items():
        # What Debian's packages leave behind is not our doing: they are there before and after.
        if needed := machine.fetch(*packages):
            machine.put(*needed)
        before[machine] = machine.state()
        machine.put(*packages)

    def set_up() -> list[list[str]]:
        run_phases(image, name, IMAGE_PHASES)
        run_phases(head, name, HEAD_PHASES)
        return [image.state(), head.state()]

    once = set_up()
    assert set_up() == once
    if name in WRITES:
        assert any(line.startswith(f"{WRITES[name]} ") for line in once[1])
    run_tests(head, name)

    for machine, state in before.items():
        machine.purge_ours()
        after = machine.state()
        assert set(after) ^ set(state) == set()
