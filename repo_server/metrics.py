# SPDX-License-Identifier: GPL-2.0-or-later
"""What Prometheus asks for, read from the repository at each request: all workers say the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from repo_server import catalog, history
from repo_server.publish import LIFETIME
from repo_server.repository import Repository


def metrics(repository: Repository) -> bytes:
    """The state of a repository in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_State(repository))
    return generate_latest(registry)


class _State(Collector):
    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def collect(self) -> Iterator[GaugeMetricFamily]:
        number = self._repository.live_number()
        yield GaugeMetricFamily("opkg_repo_generation", "The live generation.", value=number)
        free = shutil.disk_usage(self._repository.directory).free
        yield GaugeMetricFamily("opkg_repo_disk_free_bytes", "Room on the disk.", value=free)
        with catalog.opened(self._repository.directory) as session:
            renewed = history.renewed(session, number)
            counts = history.counts(session)
        if renewed:
            yield GaugeMetricFamily(
                "opkg_repo_valid_until_timestamp_seconds",
                "When clients begin to refuse the oldest metadata that are live.",
                value=(renewed + LIFETIME).timestamp(),
            )
        packages = GaugeMetricFamily(
            "opkg_repo_packages",
            "Packages by channel and target: live ones, and those that come or go with the next "
            "publication.",
            labels=["channel", "target", "state"],
        )
        for labels, count in counts.items():
            packages.add_metric(labels, count)
        yield packages
