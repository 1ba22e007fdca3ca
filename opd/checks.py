# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests that OPKGs bring: run on the headnode, with the names of the nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, SubElement, tostring

from opd.choose import Choice
from opd.install import runner_of
from opd.phases import Runner
from opd.place import Place
from opd.work import Work
from opkg.errors import CommandError
from opkg.native.system import within
from opkg.resolve import PACKAGES_DIR, TESTING_DIR

TEST = "test"  # the phase's name
_HINT = "opd history shows all that it said"
# An ordinary user, with what the OPKG brings for tests in a folder of his own.
_AS_USER = """
id oscartst > /dev/null 2>&1 || useradd --create-home --comment "OSCAR tests" oscartst
home=$(getent passwd oscartst | cut -d: -f6)/$OPKG
rm -rf "$home"
mkdir -p "$home"
cp -R "$TESTS/." "$home"
chown -R oscartst: "$home"
cd "$home"
export OSCAR_PACKAGE_TEST_HOME="$home" HOME="${home%/*}"
exec setpriv --reuid=oscartst --regid=oscartst --init-groups ./test_user "$@"
"""
# What a test has to say, as it is asked for: --label TEXT and -p, -f or -s STATUS.
_PRINT = """#!/bin/sh
label= word=
while [ $# -gt 0 ]; do
    case $1 in
    --label) label=$2; shift ;;
    -p) word=PASSED ;;
    -f) word=FAILED ;;
    -s) word=FAILED; [ "$2" != 0 ] || word=PASSED; shift ;;
    esac
    shift
done
printf '%s: %s\\n' "$label" "$word"
"""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How a test ended: “passed”, “failed” or “skipped”, and what it said."""

    opkg: str
    test: str
    result: str
    seconds: float
    output: str


def run_tests(
    work: Work, headnode: Place, choices: Sequence[Choice], nodes: Sequence[str]
) -> Iterator[Verdict]:
    """Run the tests of OPKGs that are installed in the headnode, one after the other: the programs
    test_root and test_user, and the batches of APItest."""
    folder = work.state.sessions / "testing"
    folder.mkdir(parents=True, exist_ok=True)
    printer = folder / "testprint"
    printer.write_text(_PRINT)
    printer.chmod(0o755)
    binds, env = (folder,), {"OSCAR_TESTPRINT": str(printer)}
    for choice in choices:
        for test, argv in _tests(headnode, choice.name, nodes):
            runner = runner_of(work, headnode, lambda run: work.record([run]), binds, env)
            yield _run(runner, choice, test, argv)


def _tests(
    headnode: Place, opkg: str, nodes: Sequence[str]
) -> Iterator[tuple[str, list[str | PurePosixPath]]]:
    """The tests of an OPKG by name, each with its command line; none where it cannot be run."""
    home = PurePosixPath(PACKAGES_DIR, opkg, "testing")
    if within(headnode.root, home / "test_root").is_file():
        yield "test_root", [home / "test_root", *nodes]
    if within(headnode.root, home / "test_user").is_file():
        shell = ["env", f"OPKG={opkg}", f"TESTS={home}", "sh", "-euc", _AS_USER, "test_user"]
        yield "test_user", [*shell, *nodes]
    batches = PurePosixPath(TESTING_DIR, "apitests.d")
    for path in sorted(within(headnode.root, batches).glob(f"{opkg}_*.apb")):
        there = _has(headnode, "apitest")
        yield path.name, ["apitest", "-T", "-f", batches / path.name] if there else []


def _has(headnode: Place, program: str) -> bool:
    return any(within(headnode.root, f"{top}/{program}").is_file() for top in ("usr/bin", "bin"))


def _run(runner: Runner, choice: Choice, test: str, argv: Sequence[str | PurePosixPath]) -> Verdict:
    entry = runner.entry(TEST, choice.name, str(choice.version), test)
    start, result = time.monotonic(), "passed"
    if not argv:
        entry.output = "the OPKG apitest, which runs it, is not installed"
        result = "skipped"
    else:
        try:
            runner.execute(entry, argv, hint=_HINT)
        except CommandError:
            result = "failed"
    return Verdict(
        opkg=choice.name,
        test=test,
        result=result,
        seconds=round(time.monotonic() - start, 3),
        output=entry.output,
    )


def junit(verdicts: Sequence[Verdict]) -> bytes:
    """A report in the form of JUnit, one suite for each OPKG."""
    top = Element("testsuites")
    for opkg in dict.fromkeys(verdict.opkg for verdict in verdicts):
        own = [verdict for verdict in verdicts if verdict.opkg == opkg]
        suite = SubElement(
            top, "testsuite", name=opkg, tests=str(len(own)),
            failures=str(sum(verdict.result == "failed" for verdict in own)),
            skipped=str(sum(verdict.result == "skipped" for verdict in own)),
        )  # fmt: skip
        for verdict in own:
            case = SubElement(
                suite, "testcase", classname=opkg, name=verdict.test, time=str(verdict.seconds)
            )
            said = _printable(verdict.output)
            if verdict.result == "passed":
                SubElement(case, "system-out").text = said
            else:
                what = "failure" if verdict.result == "failed" else "skipped"
                SubElement(case, what, message=said.splitlines()[-1] if said else "").text = said
    return b"<?xml version='1.0' encoding='utf-8'?>\n" + tostring(top, encoding="unicode").encode()


def _printable(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return "".join(sign for sign in text if sign in "\n\t" or sign >= " ")
