from collections.abc import Iterator

import pytest
from tests.unit.examples.shop import Shop, open_shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as opened:
        yield opened
