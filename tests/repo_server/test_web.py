# SPDX-License-Identifier: GPL-2.0-or-later
"""The web pages: what they say, that what packages say stays text, and how a browser shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, sync_playwright

from opkg.files import sha256_file
from opkg.manifest import Manifest, OpkgInfo, OpkgRelation
from opkg.run import run
from opkg.spec import Kind, Part
from repo_server import pages, papers
from repo_server.app import create_app
from repo_server.downloads import DAYS, Downloads
from repo_server.picture import draw
from repo_server.repository import open_repository
from tests.lab.cache import cache_root
from tests.repo_server.conftest import DEB_TARGET, Repo, artifact

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>'\"><img src=x onerror=alert(2)>{{ 7*7 }}"
DOCUMENT = f"""# A guide

Run `beta`. {HOSTILE}

[bad](javascript:alert(3)) and [good](https://beta.example/)

| a | b |
| - | - |
| 1 | 2 |
"""
CHANGELOG = f"beta (1.0-1) unstable; urgency=low\n\n  * Said {HOSTILE}\n"


def _info(name: str, **words: object) -> OpkgInfo:
    info = OpkgInfo(
        name=name,
        version="1.0-1",
        category="included",
        summary=f"Software {HOSTILE}",
        description=f"First.\n\n{HOSTILE}",
        licence="GPL-2.0-or-later",
        groups=("System/Tests",),
        uri="javascript:alert(4)",
        maintainer="Some Body <some@body.example>",
        relations=(),
        scripts=("server-post-install", HOSTILE),
        changed="2024-01-01T00:00:00+00:00",
    )
    return msgspec.structs.replace(info, **words)


def _package_with_documents(folder: Path) -> Path:
    root = folder / "root"
    docs = root / "usr/share/doc/opkg-beta"
    docs.mkdir(parents=True)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: opkg-beta\nVersion: 1.0-1~deb12\nArchitecture: all\n"
        "Maintainer: Some Body <some@body.example>\nDescription: Tests\n"
    )
    (docs / "user.md").write_text(DOCUMENT)
    (docs / "page.html").write_text(f"<h1>Page</h1><p onclick='alert(5)'>Text {HOSTILE}</p>")
    (docs / "notes.txt").write_text(HOSTILE)
    (docs / "changelog.Debian").write_text(CHANGELOG)
    run(["gzip", "-n", docs / "changelog.Debian"])
    path = folder / "opkg-beta_1.0-1~deb12_all.deb"
    run(["dpkg-deb", "--root-owner-group", "--build", root, path])
    return path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, empty: Repo, debs, rpms) -> Repo:
    """A repository with alpha, and with beta, of which everything is hostile."""
    repo = Repo(directory=tmp_path_factory.mktemp("web") / "repo")
    repo.run("init")
    folder = tmp_path_factory.mktemp("beta")
    package = _package_with_documents(folder)
    made = artifact(package, "opkg-beta", "1.0-1~deb12", "all", Part.API)
    relations = (
        OpkgRelation(kind=Kind.REQUIRES, name="alpha"),
        OpkgRelation(kind=Kind.CONFLICTS, name="<gamma>"),
    )
    manifest = Manifest(
        format=1,
        target=DEB_TARGET,
        tools={},
        inputs=(),
        opkgs=(_info("beta", relations=relations),),
        artifacts=(msgspec.structs.replace(made, opkg="beta"),),
    )
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    manifests = (debs.manifest, rpms.manifest, folder / "manifest.json")
    repo.run("add", "--channel", "testing", *manifests)
    repo.run("publish")
    repo.run("remove", "--channel", "testing", "alpha", "--target", "demo-rpm-9-x86_64")
    repo.run("publish")
    for back in range(DAYS):
        day = datetime.now(UTC).date() - timedelta(days=back)
        counted = Downloads(repo.directory, lambda day=day: day)
        for _ in range(back % 7 * 3):
            counted.note("deb/testing/pool/o/opkg-alpha/opkg-alpha_1.0-1~deb12_all.deb")
        counted.flush()
    return repo


@pytest.fixture(scope="module")
def client(shown: Repo) -> FlaskClient:
    return create_app(open_repository(shown.directory)).test_client()


ADDRESSES = [
    "/",
    "/channel/testing",
    "/opkg/testing/alpha",
    "/opkg/testing/beta",
    "/search",
    "/search?q=software",
    "/history",
    "/history/2",
    "/compare?from=1&to=3",
    "/history/3",
    "/mirrors",
    "/downloads",
]


class _Elements(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in ("href", "src", "action")}


@pytest.mark.parametrize("path", [*ADDRESSES, f"/search?q={HOSTILE}", f"/channel/{HOSTILE}"])
def test_what_packages_say_stays_text(client: FlaskClient, path: str) -> None:
    text = client.get(path).text
    found = _Elements(text)
    assert not found.tags & {"script", "img", "iframe", "object", "style", "base"}
    assert not any(name.startswith("on") or name == "style" for name in found.attributes)
    assert all(re.match(r"/|#|https?://", link) for link in found.links), found.links
    if "beta" in path:
        assert "{{ 7*7 }}" in text


@pytest.mark.parametrize("path", ADDRESSES)
def test_pages_forbid_everything_but_their_own_style(client: FlaskClient, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 200
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/channel/none",
        "/opkg/testing/none",
        "/opkg/none/alpha",
        "/history/0",
        "/history/99",
        "/channel/..",
    ],
)
def test_unknown_pages_are_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_documents_are_rendered(client: FlaskClient) -> None:
    text = client.get("/opkg/testing/beta").text
    assert "<h1>A guide</h1>" in text
    assert "<code>beta</code>" in text
    assert "<td>1</td>" in text
    assert 'href="https://beta.example/"' in text
    assert "<h1>Page</h1>" in text
    assert "beta (1.0-1) unstable" in text


def test_a_damaged_package_leaves_a_page_without_documents(tmp_path: Path) -> None:
    path = tmp_path / "opkg-beta_1_all.deb"
    path.write_bytes(b"no package")
    assert papers.read(path, "opkg-beta", sha256_file(path)) == papers.Papers()


def test_documents_of_rpms_are_read(shown: Repo, tmp_path: Path) -> None:
    docs = tmp_path / "top/SOURCES"
    docs.mkdir(parents=True)
    (docs / "user.md").write_text("# Guide")
    (tmp_path / "a.spec").write_text(
        "Name: opkg-beta\nVersion: 1\nRelease: 1\nSummary: s\nLicense: GPL\nBuildArch: noarch\n"
        "%description\nd\n%install\nmkdir -p %{buildroot}/usr/share/doc/opkg-beta\n"
        "cp %{_sourcedir}/user.md %{buildroot}/usr/share/doc/opkg-beta/\n"
        "%files\n/usr/share/doc/opkg-beta\n%changelog\n"
        "* Mon Jan 01 2024 Some Body <some@body.example> - 1-1\n- Made for tests\n"
    )
    run(["rpmbuild", "--quiet", "--define", f"_topdir {tmp_path}/top", "-bb", tmp_path / "a.spec"])
    [path] = tmp_path.glob("top/RPMS/noarch/*.rpm")
    read = papers.read(path, "opkg-beta", sha256_file(path))
    assert [(paper.name, paper.html.strip()) for paper in read.documents] == [
        ("user.md", "<h1>Guide</h1>")
    ]
    assert "Made for tests" in read.changelog


def test_search_finds_by_all_words(client: FlaskClient) -> None:
    assert "/opkg/testing/alpha" in client.get("/search?q=SOFTWARE alpha").text
    assert "/opkg/testing/beta" in client.get("/search?q=opkg-beta").text
    text = client.get("/search?q=alpha nonsense").text
    assert "/opkg/testing/alpha" not in text
    assert "No OPKG has all of these words" in text


def test_the_matrix_has_the_newest_version_for_each_target(client: FlaskClient) -> None:
    text = client.get("/channel/testing").text
    row = re.search(r'<tr><th scope="row"><a href="/opkg/testing/alpha">.*?</tr>', text, re.S)
    assert row
    assert f'<td data-label="{DEB_TARGET}">1.0-1</td>' in row[0]
    assert '<td class="none">' in row[0]


def test_history_tells_what_changed(client: FlaskClient) -> None:
    text = client.get("/history").text
    assert "+8" in text
    assert "−3" in text
    text = client.get("/history/3").text
    assert "opkg-alpha-server" in text
    assert "− 1.0-1.demo9" in text


def test_downloads_are_plotted(client: FlaskClient) -> None:
    total = sum(back % 7 * 3 for back in range(DAYS))
    page = client.get("/opkg/testing/alpha").text
    assert f"{total} of its packages in {DAYS} days" in page
    assert page.count('<rect class="room"') == DAYS
    assert "0 of its packages" in client.get("/opkg/testing/beta").text
    assert re.search(rf"opkg-alpha</th>.*<td>{total}</td>", client.get("/downloads").text)


def test_any_two_generations_are_compared(client: FlaskClient, shown: Repo) -> None:
    text = client.get("/compare?from=1&to=3").text
    assert "From generation 1 to 3" in text
    assert client.get("/compare").text.count('<input name="from"') == 1
    assert "Both show the same packages" in client.get("/compare?from=2&to=2").text
    assert client.get("/compare?from=0&to=1").status_code == 404
    assert client.get("/compare?from=1&to=99").status_code == 404
    forth = shown.json("diff", "1", "3")
    back = shown.json("diff", "3", "1")
    turned = {"+": "-", "-": "+", "~": "~"}
    assert [(row["name"], turned[row["sign"]], row["new"], row["old"]) for row in forth] == [
        (row["name"], row["sign"], row["old"], row["new"]) for row in back
    ]
    assert {row["sign"] for row in forth} >= {"+"}
    assert all(row["name"] in text for row in forth)


def test_commands_name_the_packages_for_plain_clients(client: FlaskClient) -> None:
    text = client.get("/opkg/testing/alpha").text
    assert "opd install alpha" in text
    assert "apt-get install opkg-alpha-server" in text


def test_a_long_table_comes_in_pages(published: Repo) -> None:
    shelf = pages.shelves((published.live / "current").resolve())["testing"]
    [offers] = shelf.offers.values()
    names = [f"opkg{number:04}" for number in range(2 * pages.PAGE + 1)]
    many = pages.Shelf(
        **{
            **{field: getattr(shelf, field) for field in shelf.__dataclass_fields__},
            "offers": dict.fromkeys(names, offers),
            "texts": {name: name for name in names},
        }
    )
    assert [len(pages.table(many, page=page).rows) for page in (1, 2, 3)] == [
        pages.PAGE,
        pages.PAGE,
        1,
    ]
    assert pages.table(many, page=-5).page == 1
    assert pages.table(many, page=10**9).page == 3
    assert pages.table(many, words="0007").found == 1


def test_the_picture_links_what_has_a_page() -> None:
    relations = [OpkgRelation(kind=Kind.REQUIRES, name=name) for name in ("alpha", "x" * 60)]
    picture = draw("beta", relations, ["delta"], frozenset({"alpha", "delta"}))
    assert picture
    boxes = {box.name: box for box in picture.boxes}
    assert (boxes["alpha"].linked, boxes["x" * 60].linked) == (True, False)
    assert boxes["delta"].x < boxes["beta"].x < boxes["alpha"].x
    assert all(0 <= box.x <= picture.width - picture.box_width for box in picture.boxes)
    assert all(0 <= box.y <= picture.height - picture.box_height for box in picture.boxes)
    assert draw("beta", [], [], frozenset()) is None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        started = play.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(shown: Repo) -> Iterator[str]:
    with shown.served() as url:
        yield url.rstrip("/")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    # What the policy stops, and what a script says.
    page.on("console", lambda message: pytest.fail(message.text))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    yield page
    context.close()


@pytest.mark.parametrize(
    ("look", "width", "scheme"),
    [("phone", 360, "light"), ("desktop", 1200, "light"), ("dark", 1200, "dark")],
)
def test_every_page_fits_its_screen(
    browser: Browser, address: str, look: str, width: int, scheme: str
) -> None:
    """Without JavaScript. The pictures are kept for whoever wants to look."""
    pictures = cache_root() / "screenshots"
    pictures.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=False
    )
    page = context.new_page()
    backgrounds = set()
    for path in ADDRESSES:
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        name = re.sub(r"\W+", "-", path).strip("-") or "home"
        page.screenshot(path=pictures / f"{name}-{look}.png", full_page=True)
    context.close()
    [background] = backgrounds
    darkness = sum(int(part) for part in re.findall(r"\d+", background)[:3])
    assert (darkness < 200) == (scheme == "dark")


def test_pages_work_by_keyboard(page: Page, address: str) -> None:
    page.goto(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/channel/testing")
    page.locator("#q").focus()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.type("guide beta")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=guide+beta")
    page.goto(f"{address}/search?q=beta")
    page.locator("main table a", has_text="beta").click()
    assert page.locator("h1").first.inner_text().startswith("beta")


def test_nothing_hostile_runs(page: Page, address: str) -> None:
    for path in ADDRESSES:
        page.goto(address + path)
    page.goto(f"{address}/opkg/testing/beta")
    for summary in page.locator("summary").all():
        summary.click()
    page.locator("svg a", has_text="alpha").click()
    page.wait_for_url("**/opkg/testing/alpha")
