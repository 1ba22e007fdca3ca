# SPDX-License-Identifier: GPL-2.0-or-later
"""The API against its own description: requests that schemathesis makes of it, good and bad ones,
must be answered as it says, and never with a failure of the server."""

from __future__ import annotations

from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from repo_server import limits
from repo_server.app import create_app
from repo_server.repository import open_repository

pytestmark = pytest.mark.slow

EXAMPLES = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_api_answers_as_it_says(make_repo, monkeypatch, mode):
    monkeypatch.setattr(limits, "CHANGES", 1 << 30)
    monkeypatch.setattr(limits, "FAILURES", 1 << 30)
    repo = make_repo()
    actions = "upload,publish,promote,remove,rollback,gc,check"
    words = ("create", "anna", "--channel", "*", "--action", actions)
    token = repo.json("token", *words)["token"]
    app = create_app(open_repository(repo.directory))
    described = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)
    operations = [result.ok() for result in described.get_all_operations()]
    assert len(operations) > 12
    for operation in operations:

        @EXAMPLES
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case):
            case.call_and_validate(
                headers={"Authorization": f"Bearer {token}"},
                # No schema says which channels and packages are there.
                excluded_checks=[positive_data_acceptance],
            )

        # Where there is nothing to get wrong.
        with suppress(Unsatisfiable):
            ask()
    assert repo.run("check")
