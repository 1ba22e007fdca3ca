# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever is chosen satisfies every relation, and is found if there is such a set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opd.choose import Choice, choose, meets, solve
from opd.place import headnode, image_place
from opkg.errors import OpkgError
from opkg.manifest import OpkgRelation
from opkg.spec import Kind, Part
from opkg.target import known_targets
from opkg.version import Version
from tests.opd.offers import TARGET, known, offer, relation

NAMES = ("a", "b", "c", "d")
VERSIONS = ("1-1", "2-1")

RELATIONS = st.builds(
    relation,
    st.sampled_from([Kind.REQUIRES, Kind.CONFLICTS, Kind.PROVIDES]),
    st.sampled_from([*NAMES, "virtual"]),
    st.sampled_from(["", "= 1-1", ">= 2-1", "< 2-1"]),
)
CHOICES = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(VERSIONS)),
    st.lists(RELATIONS, max_size=2),
    max_size=6,
).map(
    lambda drawn: [
        choice(name, version, *relations) for (name, version), relations in drawn.items()
    ]
)
REQUESTS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)


def choice(name: str, version: str, *relations: OpkgRelation, present: bool = False) -> Choice:
    made = offer(name, version, *relations)
    return Choice(name=name, version=Version.parse(version), offers={TARGET: made}, present=present)


def offered(choices: Sequence[Choice]) -> dict[str, list[Choice]]:
    newest_first = sorted(choices, key=lambda each: each.version.rank, reverse=True)
    return {
        name: [each for each in newest_first if each.name == name]
        for name in {each.name for each in choices}
    }


def holds_together(chosen: Sequence[Choice], names: Sequence[str]) -> bool:
    """The rules, said once more: every request and requirement met, no conflict."""
    wanted = [relation(Kind.REQUIRES, name) for name in names]
    wanted += [needed for each in chosen for needed in each.relations(Kind.REQUIRES)]
    return all(any(meets(each, needed) for each in chosen) for needed in wanted) and not any(
        meets(other, against)
        for one, other in product(chosen, chosen)
        if one is not other
        for against in one.relations(Kind.CONFLICTS)
    )


def is_there_any(choices: Sequence[Choice], names: Sequence[str]) -> bool:
    """By trying every set that has at most one version of each OPKG."""
    sets = (some for size in range(len(NAMES) + 1) for some in combinations(choices, size))
    return any(
        holds_together(some, names)
        for some in sets
        if len({each.name for each in some}) == len(some)
    )


@pytest.mark.slow
@given(choices=CHOICES, names=REQUESTS)
def test_what_is_chosen_holds_together_and_is_found_if_there_is_any(
    choices: list[Choice], names: list[str]
) -> None:
    try:
        chosen = solve(names, offered(choices), [])
    except OpkgError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert "circle" in refusal or not is_there_any(choices, names)
        return
    assert holds_together(chosen, names)
    assert len({each.name for each in chosen}) == len(chosen)
    for place, each in enumerate(chosen):
        for needed in each.relations(Kind.REQUIRES):
            assert meets(each, needed) or any(meets(one, needed) for one in chosen[:place])


@pytest.mark.slow
@given(choices=CHOICES, names=REQUESTS, there=st.data())
def test_what_is_installed_is_not_contradicted(
    choices: list[Choice], names: list[str], there: st.DataObject
) -> None:
    """If it held together before, it does with what is chosen in the place of old versions."""
    drawn = there.draw(CHOICES)
    before = list({each.name: each for each in drawn}.values())
    installed = [
        Choice(name=each.name, version=each.version, offers=each.offers, present=True)
        for each in before
    ]
    if not holds_together(installed, []):
        return
    try:
        chosen = solve(names, offered(choices), installed)
    except OpkgError:
        return
    replaced = {each.name for each in chosen}
    after = [*chosen, *(each for each in installed if each.name not in replaced)]
    assert holds_together(after, names)


def test_what_another_stands_in_for_is_not_forgotten() -> None:
    """a is asked for, and c would do as well; but a is there, and b does not go with it."""
    there = [
        choice("a", "2-1", present=True),
        choice("c", "1-1", relation(Kind.PROVIDES, "a"), present=True),
    ]
    choices = [choice("b", "1-1", relation(Kind.CONFLICTS, "a", ">= 2-1"))]
    with pytest.raises(OpkgError, match="b 1-1 cannot be installed together with a 2-1"):
        solve(["a", "b"], offered(choices), there)


def test_the_newest_version_is_taken_where_it_will_do() -> None:
    choices = [choice("a", "1-1"), choice("a", "10-1"), choice("a", "9-1")]
    assert [str(each) for each in solve(["a"], offered(choices), [])] == ["a 10-1"]
    choices.append(choice("b", "1-1", relation(Kind.REQUIRES, "a", "< 10")))
    chosen = solve(["a", "b"], offered(choices), [])
    assert [str(each) for each in chosen] == ["a 9-1", "b 1-1"]


def test_what_is_required_stays_in_its_version_where_that_will_do() -> None:
    choices = [choice("a", "2-1"), choice("b", "1-1", relation(Kind.REQUIRES, "a"))]
    there = [choice("a", "1-1", present=True)]
    assert [str(each) for each in solve(["b"], offered(choices), there)] == ["b 1-1"]
    somewhere = [choice("a", "1-1")]
    chosen = solve(["b"], offered(choices), somewhere)
    assert [str(each) for each in chosen] == ["a 2-1", "b 1-1"]


@pytest.mark.parametrize(
    ("choices", "there", "names", "words"),
    [
        ([], [], ["a"], ["there is no OPKG a"]),
        (
            [choice("a", "1-1", relation(Kind.REQUIRES, "b", ">= 3")), choice("b", "2-1")],
            [],
            ["a"],
            ["there is no OPKG b >= 3, which a 1-1 requires", "on offer: 2-1"],
        ),
        ([], [choice("a", "1-1")], ["a"], ["a 1-1 is installed, but no repository has it"]),
        (
            [choice("a", "1-1"), choice("b", "1-1", relation(Kind.CONFLICTS, "a"))],
            [],
            ["a", "b"],
            ["b 1-1 cannot be installed together with a 1-1, which is to come too"],
        ),
        (
            [choice("a", "2-1")],
            [choice("a", "1-1"), choice("b", "1-1", relation(Kind.REQUIRES, "a", "= 1-1"))],
            ["a"],
            ["b 1-1 requires a = 1-1, so a 2-1 cannot take the place of a 1-1", "name b too"],
        ),
        (
            [
                choice("a", "1-1", relation(Kind.REQUIRES, "b")),
                choice("b", "1-1", relation(Kind.REQUIRES, "a")),
            ],
            [],
            ["a"],
            ["require each other in a circle"],
        ),
    ],
)
def test_the_reason_is_told(
    choices: list[Choice], there: list[Choice], names: list[str], words: list[str]
) -> None:
    with pytest.raises(OpkgError) as caught:
        solve(names, offered(choices), there)
    told = f"{caught.value} {caught.value.hint}"
    assert [word for word in words if word not in told] == []


def test_an_opkg_must_be_there_for_every_place(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text("ID=debian\nVERSION_ID=12\n")
    own = headnode(tmp_path)
    image = image_place("i", tmp_path, known_targets().find("rocky-9"))
    here = offer("a", "1-1", target=own.target.name)
    there = offer("a", "2-1", target=image.target.name)
    none: dict[str, dict[str, Version]] = {"headnode": {}, "i": {}}

    assert str(choose([known(here, there)], ["a"], [own], none)[0]) == "a 1-1"
    with pytest.raises(OpkgError) as caught:
        choose([known(here)], ["a"], [own, image], none)
    assert f"but not for {image.target.name}" in caught.value.hint
    with pytest.raises(OpkgError) as caught:
        choose([known(here, there)], ["a"], [own, image], none)
    assert "no one version is there for all of" in caught.value.hint
    both = offer("a", "1-1", target=image.target.name)
    (chosen,) = choose([known(here), known(there, both)], ["a"], [own, image], none)
    assert chosen.native(own.target.name, Part.API) == ("opkg-a", "1-1~deb12")
