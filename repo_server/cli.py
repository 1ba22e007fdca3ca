# SPDX-License-Identifier: GPL-2.0-or-later
"""The command opkg-repo."""

from __future__ import annotations

from pathlib import Path

import click

from opkg.console import LazyGroup, print_json, print_table, run_command, say
from opkg.errors import OpkgError
from opkg.target import Target, known_targets
from repo_server import catalog, intake
from repo_server.cli_options import DIRECTORY, FOLDER, JSON
from repo_server.package import tree_path
from repo_server.publish import publish as publish_repository
from repo_server.repository import open_repository

# The modules of the commands that are not here.
_MODULES = {
    "advisory": "repo_server.cli_advisories",
    "audit": "repo_server.cli_access",
    "diff": "repo_server.cli_channels",
    "gc": "repo_server.cli_channels",
    "generations": "repo_server.cli_channels",
    "key": "repo_server.cli_channels",
    "mirror": "repo_server.cli_mirror",
    "promote": "repo_server.cli_channels",
    "remove": "repo_server.cli_channels",
    "renew": "repo_server.cli_channels",
    "rollback": "repo_server.cli_channels",
    "signer": "repo_server.cli_access",
    "token": "repo_server.cli_access",
    "upload": "repo_server.cli_access",
}


@click.group(
    cls=LazyGroup, modules=_MODULES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="oscar-opkg")
def cli() -> None:
    """Publish packages as one signed tree that apt, dnf, zypper and OPD read.

    Options can also be given in /etc/oscar/repo.toml (a table for each command) and as
    OPKG_REPO_COMMAND_OPTION in the environment.
    """


@cli.command()
@DIRECTORY
@click.option("--origin", default="OSCAR", show_default=True, help="Who publishes: apt's Origin.")
@click.option(
    "--url", default="", help="The address of the tree, which oscar_repositories.xml names."
)
@click.option("--db", default="", metavar="URL", help="An empty database for the catalog, as "
              "postgresql://…; else it is a file.")  # fmt: skip
@click.option("--contents", is_flag=True, help="Tell apt-file which package has which file.")
@click.option("--pool", default="", metavar="s3://BUCKET/PREFIX", help="Keep the packages there; "
              "else they are in DIR.")  # fmt: skip
@JSON
def init(
    directory: Path, origin: str, url: str, db: str, contents: bool, pool: str, as_json: bool
) -> None:
    """Make a repository with keys of its own.

    DIR must be empty or not there yet. Prints the two fingerprints that clients compare: that of
    the TUF root (for opd) and that of the OpenPGP key (for apt, dnf and zypper).
    """
    # Here and below, since `add` and `publish` need not load TUF's library.
    from repo_server.create import create

    created = create(directory, origin, say, url=url, database=db, contents=contents, pool=pool)
    if as_json:
        print_json(created)
        return
    click.echo(f"root {created.root}")
    click.echo(f"openpgp {created.openpgp}")


@cli.command()
@DIRECTORY
@click.argument("files", metavar="FILE|MANIFEST...", nargs=-1, required=True, type=FOLDER)
@click.option("--channel", required=True, metavar="C", help="The line of releases, e.g. testing.")
@click.option(
    "--target",
    metavar="T",
    help="The target of single packages, e.g. debian-12-x86_64; else it follows from the tag that "
    "ends their release.",
)
@JSON
def add(
    directory: Path, files: tuple[Path, ...], channel: str, target: str | None, as_json: bool
) -> None:
    """Take packages into a channel, all or none.

    FILE is a .deb, .rpm or .dsc, or a .changes; MANIFEST is a manifest.json that opkgc build wrote.
    These two bring all the packages that they name. RPMs are signed on the way in. Clients see
    what was added after `opkg-repo publish`.
    """
    chosen: Target | None = known_targets().find(target) if target else None
    added = intake.add(open_repository(directory), channel, files, chosen, say)
    if as_json:
        print_json(added)
        return
    print_table(
        ["TARGET", "PACKAGE", "VERSION", "ARCHITECTURE", ""],
        [
            [one.target, one.name, one.version, one.architecture, "" if one.new else "was there"]
            for one in added
        ],
    )
    if any(one.new for one in added):
        say(f"to show them to clients: opkg-repo publish {directory}")


@cli.command()
@DIRECTORY
@JSON
def publish(directory: Path, as_json: bool) -> None:
    """Show clients all that was added, at once.

    Without anything new it renews the dates: what is published is valid for 14 days.
    """
    published = publish_repository(open_repository(directory), say)
    if as_json:
        print_json(published)
        return
    say(f"generation {published.generation} is live, valid until {published.valid_until}")
    if published.changes:
        print_table(
            ["CHANNEL", "TARGET", "NEW PACKAGES", "REMOVED"],
            [
                [change.channel, change.target, str(change.packages), str(change.removed)]
                for change in published.changes
            ],
        )


@cli.command("list")
@DIRECTORY
@click.option("--channel", metavar="C", help="Only this channel.")
@JSON
def list_(directory: Path, channel: str | None, as_json: bool) -> None:
    """List all packages, published or waiting."""
    repository = open_repository(directory)
    live = repository.live_number()
    with catalog.opened(repository.directory) as session:
        rows = [
            {
                "channel": row.channel,
                "target": row.target,
                "name": row.content.name,
                "version": row.content.version,
                "architecture": row.content.architecture,
                "size": row.content.size,
                "sha256": row.content.sha256,
                "file": tree_path(row.content.family, row.channel, row.target, row.content.path),
                # One that a killed publication noted is not live.
                "generation": row.since if (row.since or live + 1) <= live else None,
            }
            for row in catalog.placements(session, channel)
        ]
    if as_json:
        print_json(rows)
        return
    shown = ("channel", "target", "name", "version", "architecture")
    print_table(
        ["CHANNEL", "TARGET", "PACKAGE", "VERSION", "ARCHITECTURE", "STATE"],
        [
            [*(str(row[key]) for key in shown), "published" if row["generation"] else "waiting"]
            for row in rows
        ],
    )


@cli.command()
@DIRECTORY
@click.option("--repair", is_flag=True, help="Mend what can be mended, then check again.")
@JSON
def check(directory: Path, repair: bool, as_json: bool) -> None:
    """Check the live tree as its clients would.

    Every file that the lists name must be there with its digest, and every signature must hold.
    Every fault is named; one is enough for exit status 1.
    """
    from repo_server.check import check as check_tree
    from repo_server.upkeep import repair as repair_tree

    repository = open_repository(directory)
    report = repair_tree(repository, say) if repair else check_tree(repository.live)
    if as_json:
        print_json(report)
    else:
        for fault in report.faults:
            click.echo(f"{fault.path}: {fault.message}")
        say(f"{report.files} files checked")
    if report.faults:
        raise OpkgError(
            f"{len(report.faults)} faults in what is published",
            where=str(directory),
            hint="put damaged packages back from a copy: opkg-repo add does not take them for new"
            if repair
            else f"mend it: opkg-repo check --repair {directory}",
        )


@cli.command()
@DIRECTORY
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="0 takes a free one.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--x-accel", default="", metavar="PREFIX", help="nginx is in front, and sends the "
              "live tree's files from this internal location.")  # fmt: skip
@click.option("--log-json", is_flag=True, help="Log each request as a line of JSON, on stderr.")
def serve(directory: Path, port: int, host: str, x_accel: str, log_json: bool) -> None:
    """Serve the live tree and its web page over HTTP.

    Prints its address once it listens, and ends with a SIGTERM.
    """
    # Here, since no other command needs a web server.
    from repo_server.serve import serve as serve_repository

    serve_repository(open_repository(directory), host, port, accel=x_accel, log_json=log_json)


def main() -> None:
    """The entry point of opkg-repo and of python -m repo_server."""
    run_command(cli, name="opkg-repo", settings="repo.toml", env_prefix="OPKG_REPO")
