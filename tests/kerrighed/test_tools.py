# SPDX-License-Identifier: GPL-2.0-or-later
"""The library and the tools where there is no module."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kerrighed.building import SOURCE, Built, built

pytestmark = pytest.mark.slow

LIB = "usr/lib/x86_64-linux-gnu"
NOT_LOADED = "the module kerrighed is not loaded: run krgboot start"


@pytest.fixture(scope="module")
def made() -> Built:
    return built()


def tool(made: Built, *words: str) -> tuple[int, str]:
    [program] = made.tools.glob(f"usr/*bin/{words[0]}")
    done = subprocess.run(
        [program, *words[1:]],
        capture_output=True,
        text=True,
        env={"LD_LIBRARY_PATH": str(made.tools / LIB)},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words", ["", "nodes", "nodes fail", "cluster status now", "nodes add", "nodes status -a"]
)
def test_wrong_usage_of_krgadm_is_told_apart(made: Built, words: str) -> None:
    status, said = tool(made, "krgadm", *words.split())
    assert status == 2
    assert said.startswith(("usage: krgadm", "krgadm: "))


@pytest.mark.parametrize("nodes", ["", "1,", ",1", "1,,3", "3-1", "256", "1-256", "1 2", "x", "-1"])
def test_a_faulty_list_of_nodes_is_refused(made: Built, nodes: str) -> None:
    status, said = tool(made, "krgadm", "nodes", "add", "-n", nodes)
    assert (status, said) == (
        2,
        f"krgadm: not a list of nodes like 1,3-5: {nodes}; see krgadm --help\n",
    )


@pytest.mark.parametrize("words", ["-a -c 1", "-n 1 -t 2", "-c 0", "-t 257", "-c x", "-a 3", "-n"])
def test_exactly_one_choice_of_nodes_is_taken(made: Built, words: str) -> None:
    assert tool(made, "krgadm", "nodes", "del", *words.split())[0] == 2


@pytest.mark.parametrize(
    "words",
    ["nodes add -n 1,3-5", "nodes del --total 4", "nodes add --all", "nodes add --nodes 1-4"],
)
def test_good_words_reach_the_module(made: Built, words: str) -> None:
    assert tool(made, "krgadm", *words.split()) == (1, f"krgadm: {NOT_LOADED}\n")


@pytest.mark.parametrize("words", ["", "-s -e +DEBUG", "-e DEBUG", "-e +NONE", "-e 10000", "-e 8"])
def test_wrong_usage_of_krgcapset_is_told(made: Built, words: str) -> None:
    assert tool(made, "krgcapset", *words.split())[0] == 2


def documented() -> set[str]:
    """The functions that the headers name."""
    text = "".join((SOURCE / "lib" / name).read_text() for name in PUBLIC)
    return set(re.findall(r"(\w+)\([^()]*\);", text))


PUBLIC = ("capability.h", "hotplug.h", "node_set.h", "unsupported.h")


def test_the_library_has_what_its_headers_name_and_nothing_else(made: Built) -> None:
    library = made.tools / LIB / "libkerrighed.so.2"
    shown = subprocess.run(
        ["nm", "--dynamic", "--defined-only", library], capture_output=True, text=True, check=True
    )
    there = set(re.findall(r" T (\w+)", shown.stdout))
    assert {"krg_nodes_add", "krg_capset", "get_node_id", "migrate"} < there
    assert there == documented()
    assert "SONAME               libkerrighed.so.2\n" in subprocess.run(
        ["objdump", "-p", library], capture_output=True, text=True, check=True
    ).stdout.replace("\t", " ")


def test_a_program_is_built_by_pkg_config(made: Built, tmp_path: Path) -> None:
    words = (made.tools / LIB / "pkgconfig/kerrighed.pc").read_text()
    assert re.search(r"^Version: \d+\.\d+\.\d+$", words, re.MULTILINE)
    source = tmp_path / "program.c"
    source.write_text(
        "#include <errno.h>\n#include <kerrighed/kerrighed.h>\n"
        "int main(void) { return migrate(1, 2) == -1 && errno == ENOSYS ? 0 : 1; }\n"
    )
    for language in ("c", "c++"):
        subprocess.run(
            ["gcc", "-x", language, "-Wall", "-Werror", "-I", made.tools / "usr/include", source,
             "-L", made.tools / LIB, "-lkerrighed", "-o", tmp_path / "program"],
            check=True,
        )  # fmt: skip
        env = {"LD_LIBRARY_PATH": str(made.tools / LIB)}
        assert subprocess.run([tmp_path / "program"], env=env).returncode == 0


def test_python_raises_with_the_librarys_words(made: Built) -> None:
    script = (
        "import errno, kerrighed\n"
        "for act in (kerrighed.nodes, kerrighed.node_id, kerrighed.capabilities,\n"
        "            lambda: kerrighed.add([1]), lambda: kerrighed.add([256]),\n"
        "            lambda: kerrighed.migrate(1, 2)):\n"
        "    try:\n"
        "        act()\n"
        "    except OSError as error:\n"
        "        print(errno.errorcode[error.errno], error.strerror)\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={
            "LD_LIBRARY_PATH": str(made.tools / LIB),
            "PYTHONPATH": str(made.tools / "usr/lib/python3/dist-packages"),
        },
    )
    assert done.stdout.splitlines() == [
        *[f"ENXIO {NOT_LOADED}"] * 4,
        "EINVAL 256 is not the id of a node: 0 to 255",
        "ENOSYS migrate: this version of Kerrighed has it not",
    ]


def test_every_command_has_a_manual_page_without_a_warning(made: Built) -> None:
    pages = {path.name.partition(".")[0]: path for path in (SOURCE / "tools/man").iterdir()}
    commands = {path.name for path in made.tools.glob("usr/*bin/*")}
    assert commands == {"krgadm", "krgboot", "krgcapset"} < pages.keys()
    for page in pages.values():
        done = subprocess.run(
            ["groff", "-man", "-Tutf8", "-ww", page], capture_output=True, text=True
        )
        assert done.stderr == ""
