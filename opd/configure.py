# SPDX-License-Identifier: GPL-2.0-or-later
"""Configuring OPKGs: the scripts before the questions, the answers, and the scripts after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opd.answers import questions, values_of, write_values
from opd.choose import Choice
from opd.form import Answers, settle
from opd.phases import POST_CONFIGURE, PRE_CONFIGURE
from opd.place import Place
from opd.stages import digest, run_phase
from opd.work import Work


def prepare(work: Work, headnode: Place, choices: Sequence[Choice]) -> None:
    """Run what is due before the questions: a script may write its form anew. Raises OpkgError."""
    run_phase(work, headnode, PRE_CONFIGURE, choices, lambda _name: "")


def store(
    work: Work, headnode: Place, choices: Sequence[Choice], given: Mapping[str, Answers]
) -> dict[str, dict[str, list[str]]]:
    """Write the answers of OPKGs that ask something, the old ones or the form's own where nothing
    is given, and run what is due after that. Returns all answers. Raises OpkgError; nothing is
    written where an answer is wrong."""
    settled = {}
    for name in [choice.name for choice in choices]:
        asked = questions(headnode, name)
        answers = settle(asked.fields, asked.old, given.get(name, {}), name)
        if asked.fields:
            settled[name] = answers
    for name, answers in settled.items():
        write_values(headnode, name, answers)
        work.state.oda.set_answers(name, answers)
    run_phase(
        work, headnode, POST_CONFIGURE, choices, lambda name: digest(values_of(headnode, name))
    )
    return settled
