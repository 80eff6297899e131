from collections.abc import Iterator

import pytest
from tests.unit.examples_services.bench import TENANT, Bench
from tests.unit.examples_services.conftest import application

from cgk_jobs import tenant_context

__all__ = ["application", "bench"]


@pytest.fixture
def bench(application: Bench) -> Iterator[Bench]:
    """The application as new, no card declined; its tenant is current."""
    application.reset()
    application.vendors.declining.clear()
    with tenant_context(TENANT):
        yield application
