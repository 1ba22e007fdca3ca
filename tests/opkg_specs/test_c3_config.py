# SPDX-License-Identifier: GPL-2.0-or-later
"""c3.conf and machine specifications: what is written is what is meant."""

from __future__ import annotations

import pytest
from c3.config import (
    Cluster,
    Config,
    MachineSpec,
    Node,
    is_spec,
    parse_config,
    parse_spec,
    select,
)
from c3.errors import C3Error, UsageError
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = """\
# our clusters
cluster alpha {
    alpha.example.org:inner   # the head
    node[01-5]
    exclude 2
    exclude [4-5]
    dead spare
    big }
cluster beta { :beta-head }
cluster gamma { lone }
"""

hosts = st.from_regex(r"[a-z][a-z0-9]{0,3}(-[a-z]{1,3})?", fullmatch=True).filter(
    lambda name: name not in ("dead", "exclude", "cluster")
)
gaps = st.sampled_from([" ", "\n", "\n\t", "  # a comment } { cluster\n"])


@st.composite
def written_clusters(draw: st.DrawFn) -> tuple[str, tuple[Cluster, ...]]:
    """Clusters, and a text of c3.conf that means them."""
    words: list[str] = []
    clusters = []
    for name in draw(st.lists(hosts, min_size=1, max_size=3, unique=True)):
        if draw(st.booleans()):
            head = draw(hosts)
            words += ["cluster", name, "{", f":{head}", "}"]
            clusters.append(Cluster(name, head, head, indirect=True))
            continue
        external = draw(hosts)
        internal = draw(st.one_of(st.just(""), hosts))
        words += ["cluster", name, "{", f"{external}:{internal}" if internal else external]
        nodes = []
        for prefix in draw(st.lists(hosts, max_size=3, unique=True)):
            kind = draw(st.sampled_from(["single", "dead", "range"]))
            # Singles and ranges cannot meet: no host of these ends in a dot and a digit.
            if kind == "range":
                first, size = draw(st.integers(0, 9)), draw(st.integers(1, 5))
                out = draw(st.sets(st.integers(first, first + size - 1)))
                words += [f"{prefix}.[{first}-{first + size - 1}]"]
                words += [word for number in sorted(out) for word in ("exclude", str(number))]
                nodes += [
                    Node(f"{prefix}.{number}", "excluded" if number in out else "")
                    for number in range(first, first + size)
                ]
            else:
                words += ["dead", prefix] if kind == "dead" else [prefix]
                nodes.append(Node(prefix, "dead" if kind == "dead" else ""))
        words.append("}")
        clusters.append(Cluster(name, external, internal or external, nodes=tuple(nodes)))
    text = "".join(word + draw(gaps) for word in words)
    return text, tuple(clusters)


@pytest.mark.slow
@given(written_clusters())
def test_clusters_are_read_as_they_are_written(
    written: tuple[str, tuple[Cluster, ...]],
) -> None:
    text, clusters = written
    assert parse_config(text, "c3.conf") == Config(clusters=clusters, where="c3.conf")


def refusal(text: str) -> C3Error | None:
    try:
        parse_config(text, "c3.conf")
    except C3Error as error:
        return error
    return None


WORDS = (
    "cluster", "dead", "exclude", "{", "}", "a", "b1", "b[1-3]", "b[3-1]", "[2-3]", "2", ":a",
    "a:b", "a:", "-x", "#", "\n",
)  # fmt: skip


@given(st.lists(st.sampled_from(WORDS)))
def test_any_other_text_is_refused_with_its_place_and_a_remedy(words: list[str]) -> None:
    text = " ".join(words)
    error = refusal(text)
    if error is None:
        return
    assert error.hint
    place, _, line = error.where.partition(":")
    assert place == "c3.conf"
    assert line == "" or 1 <= int(line) <= text.count("\n") + 1


def test_an_example_with_everything() -> None:
    alpha, beta, gamma = parse_config(EXAMPLE, "c3.conf").clusters
    assert (alpha.external, alpha.internal) == ("alpha.example.org", "inner")
    assert [(node.name, node.state) for node in alpha.nodes] == [
        ("node1", ""),
        ("node2", "excluded"),
        ("node3", ""),
        ("node4", "excluded"),
        ("node5", "excluded"),
        ("spare", "dead"),
        ("big", ""),
    ]
    assert beta.indirect
    assert beta.external == "beta-head"
    assert gamma == Cluster("gamma", "lone", "lone")


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "c3.conf", "no cluster"),
        ("node1\n", "c3.conf:1", "“cluster”"),
        ("cluster a {\n", "c3.conf:1", "ends"),
        ("cluster a {\nh\nnode1\n", "c3.conf:3", "ends"),
        ("cluster a { h }\ncluster a { h }", "c3.conf:2", "second cluster"),
        ("cluster a {\nh\nnode1 node1 }", "c3.conf:3", "twice"),
        ("cluster a {\nh\nnode[1-3]\nnode2 }", "c3.conf:4", "twice"),
        ("cluster a {\nh\nnode[3-1] }", "c3.conf:3", "0 numbers"),
        ("cluster a {\nh\nnode[1-99999999] }", "c3.conf:3", "99999999 numbers"),
        ("cluster a {\nh\nnode[1-3]\nexclude 4 }", "c3.conf:4", "not in the range"),
        ("cluster a {\nh\nnode1\nexclude 1 }", "c3.conf:4", "not in the range"),
        ("cluster a {\nh\nnode[1-3\n}", "c3.conf:3", "cannot be a node"),
        ("cluster a {\nh\nnode[1-3]\nexclude node1 }", "c3.conf:4", "cannot be excluded"),
        ("cluster a {\n:h\nnode1 }", "c3.conf:3", "indirect"),
        ("cluster a {\nh:\n}", "c3.conf:2", "head node"),
        ("cluster a { -oProxyCommand=x }", "c3.conf:1", "head node"),
        ("cluster a { h -oProxyCommand=x }", "c3.conf:1", "cannot be a node"),
    ],
)
def test_a_fault_is_shown_in_its_line(text: str, place: str, said: str) -> None:
    with pytest.raises(C3Error, match=said) as caught:
        parse_config(text, "c3.conf")
    assert caught.value.where == place
    assert caught.value.hint


ranges = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair))),
    max_size=4,
).map(tuple)
names = st.one_of(st.just(""), st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", fullmatch=True))


@given(names, names, ranges)
def test_a_specification_is_read_as_it_is_written(
    user: str, cluster: str, chosen: tuple[tuple[int, int], ...]
) -> None:
    spec = MachineSpec(user, cluster, chosen)
    text = f"{user}@" if user else ""
    text += f"{cluster}:{spec.positions}"
    assert is_spec(text)
    assert parse_spec(text) == spec


@given(ranges, st.integers(0, 40))
def test_positions_choose_slots_in_their_order_each_once(
    chosen: tuple[tuple[int, int], ...], size: int
) -> None:
    nodes = tuple(Node(f"n{at}", "dead" if at % 3 == 0 else "") for at in range(size))
    config = Config((Cluster("a", "h", "h", nodes=nodes),), "c3.conf")
    spec = MachineSpec(ranges=chosen)
    wanted = (
        [at for first, last in chosen for at in range(first, last + 1)] if chosen else range(size)
    )
    if any(at >= size for at in wanted):
        with pytest.raises(UsageError, match="no position"):
            select(config, spec)
    else:
        slots = select(config, spec).slots
        assert [at for at, _ in slots] == list(dict.fromkeys(wanted))
        assert all(node is nodes[at] for at, node in slots)


def test_a_huge_range_of_positions_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="no position 999999999"):
        select(parse_config(EXAMPLE, "c3.conf"), parse_spec(":0-999999999"))


def test_the_default_cluster_is_the_first_one() -> None:
    config = parse_config(EXAMPLE, "c3.conf")
    assert select(config, parse_spec(":")).cluster.name == "alpha"
    assert select(config, parse_spec("gamma:")).cluster.name == "gamma"
    with pytest.raises(UsageError, match="no cluster “delta”") as caught:
        select(config, parse_spec("delta:"))
    assert "alpha, beta, gamma" in caught.value.hint


@pytest.mark.parametrize("word", [":1-", ":-1", ":3-1", ":1,,2", ":x", ":1 2", ":+"])
def test_a_word_that_starts_like_a_specification_has_to_be_one(word: str) -> None:
    assert is_spec(word)
    with pytest.raises(UsageError, match="not a machine specification"):
        parse_spec(word)


@pytest.mark.parametrize("word", ["ls", "/a:b", "a/b:", "http://x", "-n", "echo:a", "a b:"])
def test_other_words_belong_to_the_command(word: str) -> None:
    assert not is_spec(word)
