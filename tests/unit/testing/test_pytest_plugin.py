"""The plugin as another project meets it: in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

APPLICATION = """
import pytest
from cgk_jobs import Event, Jobs

jobs = Jobs()


class Placed(Event, name="plugin.placed"):
    order_id: str


@jobs.task(on=Placed)
async def confirm(event: Placed) -> str:
    return event.order_id
"""

CONFTEST = """
import pytest


@pytest.fixture
def jobs_app():
    import application

    return application.jobs
"""

TESTS = """
import sys


def test_nothing_is_loaded_before_it_is_used():
    assert "cgk_jobs.testing.pytest_plugin" in sys.modules
    for name in ("harness", "recording", "conformance", "conformance.stateful"):
        assert f"cgk_jobs.testing.{name}" not in sys.modules


def test_a_plain_test(jobs_harness, jobs_clock):
    from application import Placed, jobs

    assert jobs_harness.jobs is jobs
    jobs.sync.send(Placed(tenant_id="acme", order_id="1"), delay=60)
    assert jobs_harness.sync.drain().completed == 0
    jobs_clock.advance(60)
    assert jobs_harness.sync.drain().completed == 1


def test_another_starts_empty(jobs_harness):
    assert jobs_harness.sent == ()
    assert jobs_harness.sync.drain().attempts == 0
"""

ASYNC_TESTS = """
async def test_an_async_test(jobs_harness):
    from application import Placed, jobs

    await jobs.send(Placed(tenant_id="acme", order_id="1"))
    assert (await jobs_harness.drain()).completed == 1
    jobs_harness.assert_sent(Placed, order_id="2")
"""


def run_pytest(folder: Path, *options: str) -> str:
    (folder / "application.py").write_text(APPLICATION)
    (folder / "conftest.py").write_text(CONFTEST)
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir", ".", *options],
        cwd=folder, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    return answer.stdout + answer.stderr


def test_without_an_asyncio_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(TESTS)
    assert "3 passed" in run_pytest(tmp_path, "-p", "no:asyncio")


def test_with_an_asyncio_plugin(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(ASYNC_TESTS)
    output = run_pytest(tmp_path, "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    assert "1 failed" in output
    assert "Sent were:" in output
    assert "Placed(tenant_id='acme', order_id='1')" in output
