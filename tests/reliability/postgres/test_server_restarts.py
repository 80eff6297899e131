"""The server restarted in the middle of work and of recovery (S6, S7)."""

from __future__ import annotations

from tests.reliability.postgres.processes import ServerFleet
from tests.reliability.postgres.scenarios import restart_during_rescue, restarts
from tests.servers.postgres import PostgresServer


def test_s6_workflows_end_right_though_the_server_is_restarted_again_and_again(
    fleet: ServerFleet, postgres_server: PostgresServer
) -> None:
    restarts(fleet, postgres_server, flows=200, steps=3, restarts=3)


def test_s7_a_rescue_cut_off_by_a_restart_is_done_again_whole(
    fleet: ServerFleet, postgres_server: PostgresServer
) -> None:
    restart_during_rescue(fleet, postgres_server, runs=60)
