"""Being here puts this folder on the import path, so that tests can say ``from fakes import FakeLabeler``."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("OPENSEED_LABEL_TEXT_CACHE", "off")  # tests leave nothing in the user's folders

SKIP_IS_FAILURE = "OPENSEED_LABEL_SKIP_IS_FAILURE"
"""Set where everything that a test may need is installed, so that a skipped test means a broken machine."""


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where a test was skipped and the environment says that none may be."""
    if not os.environ.get(SKIP_IS_FAILURE) or session.exitstatus not in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line(f"skipped tests are failures here ({SKIP_IS_FAILURE} is set)", red=True)
