"""Mutated calls at every provider's endpoints; the full size is ``python -m tests.full.hostile_calls``."""

from __future__ import annotations

import logging

import pytest
from tests.providers.hostile import PROVIDERS, attack, make_target

COUNT = 3_000


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("seed", [1, 2])
async def test_none_gets_through_and_nothing_breaks(provider: str, seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    finding = await attack(make_target(provider), COUNT, seed)
    assert finding.clean, (finding.statuses, finding.complaints[:10])
    assert finding.tried == COUNT
    assert len(finding.kinds) >= 10
