from collections.abc import Iterator

import pytest

from tests.unit.examples_services.bench import Bench, tenant_bench


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tenant_bench() as made:
        yield made
