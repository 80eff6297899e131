from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.reliability.postgres.processes import ServerFleet
from tests.servers.postgres import LedgerDatabase


@pytest.fixture
def fleet(tmp_path: Path, postgres_database: LedgerDatabase) -> Iterator[ServerFleet]:
    """Processes of one application whose ledger is on a server; what is left of them is killed."""
    fleet = ServerFleet(tmp_path, postgres_database)
    yield fleet
    fleet.close()
