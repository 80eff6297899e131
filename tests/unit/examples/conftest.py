from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.examples.rig import Rig
from tests.unit.examples.shop import Shop, open_shop

from cgk_jobs.examples.commerce.vendors import VendorDoubles


@pytest.fixture
def shop() -> Iterator[Shop]:
    with open_shop() as opened:
        yield opened


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, VendorDoubles())
    yield made
    made.close()
