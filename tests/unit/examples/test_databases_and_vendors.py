"""The tenants' databases keep to themselves, and the vendors' doubles act once for each key."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cgk_jobs import NonRetryable, TenantMismatch, TenantRequired, across_tenants, tenant_context
from cgk_jobs.examples.commerce.store import Shops
from cgk_jobs.examples.commerce.vendors import CardDeclined, VendorDoubles, VendorUnavailable

ADD = "INSERT INTO settings VALUES ('key', ?)"


def test_a_tenants_database_is_out_of_reach_for_others(tmp_path: Path) -> None:
    shops = Shops(tmp_path)
    with tenant_context("acme"), shops.current() as db:
        db.execute(ADD, ("acme",))
    with tenant_context("rival"):
        with shops.current() as db:
            assert not db.execute("SELECT * FROM settings").fetchall()
        with pytest.raises(TenantMismatch):
            shops.of("acme")
    with pytest.raises(TenantRequired):
        shops.current()
    with pytest.raises(TenantRequired):
        shops.of("acme")
    with across_tenants(reason="test"), shops.of("acme") as db:
        assert db.execute("SELECT value FROM settings").fetchall() == [("acme",)]
    shops.close()
    assert {path.name for path in tmp_path.glob("*.db")} == {"acme.db", "rival.db"}


def test_a_block_that_raises_leaves_nothing(tmp_path: Path) -> None:
    shops = Shops(tmp_path)
    with tenant_context("acme"):
        with pytest.raises(sqlite3.IntegrityError), shops.current() as db:
            db.executemany(ADD, [("lost",), ("the same key again",)])
        with shops.current() as db:
            assert not db.execute("SELECT * FROM settings").fetchall()
            with pytest.raises(RuntimeError, match="await nothing inside"), shops.current():
                raise AssertionError("no transaction within another")
    shops.close()


def test_databases_closed_to_make_room_open_again(tmp_path: Path) -> None:
    shops = Shops(tmp_path, keep_open=2)
    tenants = [f"t{number}" for number in range(6)]
    for _ in range(2):
        for tenant in tenants:
            with tenant_context(tenant), shops.current() as db:
                db.execute("INSERT INTO settings VALUES (?, 'x')", (str(_),))
    for tenant in tenants:
        with tenant_context(tenant), shops.current() as db:
            assert db.execute("SELECT count(*) FROM settings").fetchone() == (2,)
    shops.close()


async def test_one_key_moves_money_once_also_for_another_process(tmp_path: Path) -> None:
    first, second = VendorDoubles(tmp_path), VendorDoubles(tmp_path)
    assert (await first.charge("acme", "k", "ann", 100, "GBP")).repeated is False
    assert (await second.charge("acme", "k", "ann", 100, "GBP")).repeated is True
    await second.charge("rival", "k", "ann", 100, "GBP")  # tenants' keys are apart
    assert (first.charges, first.calls) == (2, 3)
    for wrong in (("bob", 100), ("ann", 101)):
        with pytest.raises(NonRetryable, match="used for something else"):
            await first.charge("acme", "k", *wrong, "GBP")
    first.close()
    second.close()


async def test_doubles_fail_before_or_after_the_work_at_the_rate_they_are_told() -> None:
    vendors = VendorDoubles(failure_rate=0.5, seed=3)
    failed = 0
    for number in range(200):
        try:
            await vendors.mail("acme", str(number), "a@x", "template")
        except VendorUnavailable:
            failed += 1
    done = len(vendors.done("acme", "mail"))
    assert 70 < failed < 130
    assert 200 - failed < done < 200  # some of the failures had done the work
    vendors.close()


async def test_a_declined_card_is_not_charged() -> None:
    vendors = VendorDoubles()
    vendors.declining.add("ann")
    with pytest.raises(CardDeclined):
        await vendors.charge("acme", "k", "ann", 100, "GBP")
    assert vendors.charges == 0
    vendors.close()


def test_the_schema_can_be_applied_again(tmp_path: Path) -> None:
    shops = Shops(tmp_path)
    with tenant_context("acme"), shops.current() as db:
        db.execute(ADD, ("kept",))
        db.execute("PRAGMA user_version")
    shops.close()
    with sqlite3.connect(tmp_path / "acme.db") as raw:
        raw.execute("PRAGMA user_version = 0")
    raw.close()
    again = Shops(tmp_path)
    with tenant_context("acme"), again.current() as db:
        assert db.execute("SELECT value FROM settings").fetchall() == [("kept",)]
    again.close()
