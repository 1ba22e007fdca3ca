# SPDX-License-Identifier: GPL-2.0-or-later
"""The wizard: what the steps make of facts, and the screen in a terminal."""

from __future__ import annotations

from dataclasses import replace

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opd.wizard import Facts, Progress, steps
from opkg.files import locked
from tests.opd.conftest import Opd

ALL = Facts(
    repositories=1, installed=frozenset({"c3"}), images=1, nodes=2, nodes_with_image=2,
    nodes_with_mac=2, tested=3,
)  # fmt: skip


def progress(facts: Facts) -> list[str]:
    return [step.progress.value for step in steps(facts)]


def test_nothing_is_there_yet() -> None:
    assert progress(Facts()) == ["next", *["later"] * 8]
    assert steps(Facts())[0].told == "0 repositories trusted"


def test_all_is_done() -> None:
    assert progress(ALL) == ["done"] * 9


@pytest.mark.parametrize(
    ("number", "facts", "state", "told"),
    [
        (3, {"unanswered": frozenset({"c3"})}, "next", "not answered: c3"),
        (4, {"images": 0}, "next", "0 images made"),
        (5, {"nodes_with_image": 1}, "next", "2 nodes, 1 with an image"),
        (6, {"nodes_with_mac": 0}, "next", "0 of 2 MAC addresses known"),
        (7, {"waiting": frozenset({"c3"})}, "next", "to be run: c3"),
        (7, {"waiting": frozenset("ab"), "failed": frozenset("a")}, "failed", "failed: a"),
        (8, {"tested": 0}, "next", "0 of 0 tests failed"),
        (8, {"tests_failed": 1}, "failed", "1 of 3 tests failed"),
    ],
)
def test_one_thing_is_missing(number: int, facts: dict[str, object], state: str, told: str) -> None:
    found = steps(replace(ALL, **facts))
    assert found[number].progress == state
    assert found[number].told == told
    others = {step.progress.value for step in found if step.number != number}
    assert others <= {"done", "later"}


counts = st.integers(0, 3)


@given(st.builds(Facts, repositories=counts, images=counts, nodes=counts, tested=counts))
def test_at_most_one_step_is_next_and_what_comes_before_is_done(facts: Facts) -> None:
    found = [step.progress for step in steps(facts)]
    assert found.count(Progress.NEXT) <= 1
    if Progress.NEXT in found:
        before = found[: found.index(Progress.NEXT)]
        assert set(before) <= {Progress.DONE}


@pytest.mark.slow
def test_steps_are_seen_and_run_in_a_terminal(alone: Opd) -> None:
    listed = alone.run("wizard", "--list").out
    assert "Trust repositories" in listed
    assert "1 repository trusted" in listed
    child = alone.on_terminal("wizard")
    child.expect("1 repository trusted")

    def type_instead(command: str) -> None:
        """Put the step's command into the line, and another one in its place."""
        child.send("\r")
        child.expect("opd node add NODES")
        child.send("\x15")
        child.expect("Enter on a step")  # stands where the line is empty
        child.send(f"{command}\r")

    child.send("\x1b[B" * 4)  # down to the nodes
    type_instead("opd node add n[1-3] --image compute")
    child.expect("there is no image compute")
    child.expect("ended with status 1; Enter goes back")
    child.send("\r")
    child.expect("Define nodes")
    type_instead("opd node add n[1-3]")
    child.expect("3 nodes known")
    child.expect("done; Enter goes back")
    child.send("\r")
    child.expect("3 nodes, 0 with an image")

    # Ctrl-C ends the step with all that it has started, and not the wizard.
    with locked(alone.state / "lock"):
        type_instead("opd node remove n3")
        child.expect("waiting for another opd to finish")
        child.sendintr()
        child.expect("interrupted")
        child.expect("ended with status 1; Enter goes back")
    child.send("\r")
    child.expect("3 nodes, 0 with an image")
    child.send("q")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
