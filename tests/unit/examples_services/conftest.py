from collections.abc import Iterator

import pytest
from tests.unit.examples_services.bench import TENANT, Bench

from cgk_jobs import tenant_context


@pytest.fixture(scope="session")
def application() -> Iterator[Bench]:
    """The application with all its tasks, declared once."""
    bench = Bench()
    yield bench
    bench.close()


@pytest.fixture
def bench(application: Bench) -> Iterator[Bench]:
    """The application as new; its tenant is current."""
    application.reset()
    with tenant_context(TENANT):
        yield application
