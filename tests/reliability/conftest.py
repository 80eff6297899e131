from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.reliability.processes import Fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Processes of one application in a folder; what is left of them is killed."""
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.close()
