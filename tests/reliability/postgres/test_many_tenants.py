"""What a claim touches does not grow with the number of tenants (S38)."""

from __future__ import annotations

from tests.reliability.postgres.claim_costs import assert_flat
from tests.servers.ledgers import Ledgers


async def test_s38_a_claim_costs_the_same_with_ten_and_ten_thousand_tenants(postgres_ledgers: Ledgers) -> None:
    await assert_flat(postgres_ledgers)
