# SPDX-License-Identifier: GPL-2.0-or-later
"""What OPKGs do beside being installed: their questions, their scripts when nodes are defined and
run, and their tests; by the real command, in a Debian headnode and an image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from defusedxml.ElementTree import parse

from tests.opd.conftest import Opd, publish_opkgs, serve
from tests.programs import seen

pytestmark = pytest.mark.slow

HOME = "usr/lib/oscar/packages"
FORM = """<html><body><form>
<h1>Colours</h1>
<p order="1">What the nodes look like.</p>
<select name="colour" order="2"><option value="red">like fire</option>
<option value="blue" selected="selected">like the sea</option></select>
<input type="text" name="size" order="3" value="10">Size</input>
<input type="checkbox" name="extras" order="4" value="bells">Bells</input>
<input type="checkbox" name="extras" order="5" value="lights">Lights</input>
</form></body></html>
"""
SHELL = "#!/bin/sh\nset -eu\n"
ASKER = {
    "configurator.html": FORM,
    "scripts/api-pre-configure": f"{SHELL}echo asks >> /told\n",
    "scripts/api-post-configure": f"{SHELL}cat $OSCAR_PACKAGE_HOME/.configurator.values >> /told\n",
    "scripts/api-post-clientdef": f"""{SHELL}
cat "$OSCAR_NODES" >> /told
for image in "$OSCAR_IMAGES"/*; do cp "$OSCAR_NODES" "$image/etc/nodes"; done
""",
    "scripts/api-post-deploy": f"{SHELL}echo deployed >> /told\n",
    "testing/test_root": f"{SHELL}echo root: $*\n$OSCAR_TESTPRINT --label disk -f\n[ -e /well ]\n",
    "testing/test_user": f"{SHELL}id -un\npwd\necho of $OSCAR_PACKAGE_TEST_HOME to $*\n",
    "testing/apitests.d/asker_validate.apb": "<testBatch></testBatch>\n",
}
BROKEN = {"scripts/api-post-clientdef": f"{SHELL}echo trying >> /told\ntest -e /mended\n"}
NEEDY = {"scripts/api-post-clientdef": f"{SHELL}echo needy >> /told\n"}


@pytest.fixture
def there(cluster: Opd, tmp_path: Path) -> Iterator[Opd]:
    """A cluster in whose headnode these OPKGs are."""
    opkgs = {"asker": ASKER, "broken": BROKEN, "needy": NEEDY}
    own = publish_opkgs(tmp_path, opkgs, needy="<requires><pkg>broken</pkg></requires>")
    with serve(own.root) as url:
        cluster.run("repo", "add", url, "--root-key", own.root_json, "--name", "own")
        cluster.run("install", *opkgs, "--headnode")
        yield cluster


def values(opd: Opd) -> str:
    return (opd.headnode / HOME / "asker/.configurator.values").read_text()


def test_what_is_answered_is_where_scripts_read_it(there: Opd, tmp_path: Path) -> None:
    there.run("configure", "asker", "--set", "colour=red", "--set", "extras=bells")
    answers = "<opt>\n  <colour>red</colour>\n  <size>10</size>\n  <extras>bells</extras>\n</opt>"
    assert values(there) == answers + "\n"
    assert there.told() == ["asks", *answers.split("\n")]
    # What has been said again is no news; what was said stays.
    assert there.json("configure", "--defaults")["asker"]["colour"] == ["red"]
    assert len(there.told()) == 6
    (tmp_path / "answers.toml").write_text('[asker]\nsize = 12\nextras = ["bells", "lights"]\n')
    there.run("configure", "--from", tmp_path / "answers.toml")
    assert "<extras>lights</extras>" in values(there)
    assert "<size>12</size>" in values(there)
    assert there.told().count("<opt>") == 2

    before = values(there)
    for words, said in (
        (("asker", "--set", "colour=green"), "“green” is none of “red”, “blue”"),
        (("asker", "--set", "colour=red", "--set", "colour=blue"), "takes one value, not 2"),
        (("asker", "--set", "weight=1"), "there is no question weight"),
        (("absent",), "not installed in the headnode: absent"),
    ):
        assert said in there.run("configure", *words, status=1).err
    (tmp_path / "answers.toml").write_text("[absent]\nsize = 1\n")
    assert (
        "answers for absent"
        in there.run("configure", "--from", tmp_path / "answers.toml", status=1).err
    )
    assert values(there) == before


def test_a_person_is_asked(there: Opd) -> None:
    typed = "red\n\nbells horns\nbells lights\n"
    child = there.on_terminal("configure", "asker")
    child.send(typed)
    text = seen(child)
    assert child.exitstatus == 0, text
    assert "What the nodes look like." in text
    assert "red          like fire" in text
    assert "Size [10]:" in text
    assert "“horns” is none of “bells”, “lights”" in text
    assert "<colour>red</colour>\n  <size>10</size>\n  <extras>bells</extras>" in values(there)


def test_scripts_follow_the_list_of_nodes(there: Opd) -> None:
    (there.headnode / "mended").touch()
    there.run("node", "add", "node1", "--ip", "10.0.0.1", "--mac", "52:54:00:00:00:01")
    assert there.told() == ["node1", "trying", "needy"]
    facts = json.loads((there.headnode / "var/lib/oscar/nodes.json").read_text())
    assert [row["mac"] for row in facts] == ["52:54:00:00:00:01"]
    assert (there.image("rpm") / "etc/nodes").read_text() == "node1\n"
    assert there.generations("rpm") == ["1", "2"]
    there.run("node", "add", "node1", "--ip", "10.0.0.1")
    assert there.told() == ["node1", "trying", "needy"]

    # One that fails stops what needs it, and nothing else; it is taken up again.
    (there.headnode / "mended").unlink()
    done = there.run("node", "add", "node2", status=1)
    assert "broken failed; needy waits for broken" in done.err
    assert "goes on with what is left" in done.err
    assert (there.image("rpm") / "etc/nodes").read_text() == "node1\nnode2\n"
    seen = len(there.told())
    assert "broken failed" in there.run("deploy", status=1).err
    assert there.told()[seen:] == ["trying"]
    (there.headnode / "mended").touch()
    there.run("deploy")
    assert there.told()[seen:] == ["trying", "trying", "needy", "deployed"]
    assert "nothing is due" in there.run("deploy").err
    scripts = there.json("history")[0]["scripts"]
    assert scripts == []
    # What comes again does all of it again, also when its removal is undone by hand.
    told = "nodes are defined: opd deploy runs what needy does about them"
    for way_out in (("remove", "needy", "--headnode"), ("undo",)):
        there.run(*way_out)
        assert told in there.run("install", "needy", "--headnode").err
    assert "opd deploy" not in there.run("install", "alpha", "--headnode").err
    seen = len(there.told())
    there.run("deploy")
    assert there.told()[seen:] == ["needy"]
    there.run("node", "remove", "node[1-2]")
    assert (there.image("rpm") / "etc/nodes").read_text() == ""
    assert "no node is defined" in there.run("deploy", status=1).err


def test_tests_tell_what_is_well(there: Opd, tmp_path: Path) -> None:
    (there.headnode / "mended").touch()
    there.run("node", "add", "node[1-2]")
    done = there.run("test", "--junit", tmp_path / "results.xml", status=1)
    rows = [line.split()[:3] for line in done.out.splitlines()]
    assert rows == [
        ["OPKG", "TEST", "RESULT"],
        ["asker", "test_root", "failed"],
        ["asker", "test_user", "passed"],
        ["asker", "asker_validate.apb", "skipped"],
    ]
    assert "  | root: node1 node2\n  | disk: FAILED" in done.err
    suite = parse(tmp_path / "results.xml").getroot()[0]
    assert dict(suite.attrib) == {"name": "asker", "tests": "3", "failures": "1", "skipped": "1"}
    assert suite[0].find("failure") is not None
    said = suite[1].findtext("system-out")
    home = "/home/oscartst/asker"
    assert said == f"oscartst\n{home}\nof {home} to node1 node2"

    (there.headnode / "well").touch()
    found = there.json("test", "asker")
    assert [row["result"] for row in found] == ["passed", "passed", "skipped"]
    assert "no OPKG here brings tests" in there.run("test", "needy").err
    assert "not installed" in there.run("test", "absent", status=1).err
