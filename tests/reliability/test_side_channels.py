"""S36: nothing a tenant can ask has an answer that depends on whose the other rows are.

Two ledgers differ in one thing only: forty rows in each table belong to the tenant ``victim`` in one, to ``nobody`` in the other.
The attacker, who guesses at ``victim``, hears the same in both, letter for letter. How large a table is over all tenants
together is no secret: PostgreSQL tells every login (pg_class, pg_relation_size).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import psycopg
import pytest
from tests.reliability.walled_worlds import SECRET, World
from tests.servers.ledgers import Ledgers

Worlds = tuple[World, World]

QUESTIONS = {
    "counts": "SELECT count(*) FROM cgk_jobs.runs; SELECT count(*) FROM cgk_jobs.finished_runs WHERE tenant_id = 'victim'",
    "its number": "INSERT INTO cgk_jobs.unrouted_events VALUES (30, 1, 1, 1, 'attacker', 'x', 'y') RETURNING seq",
    "its key": "INSERT INTO cgk_jobs.idempotency_keys VALUES (1, 1, 9, 'attacker', 'x', 'k20', 'y', '{}') "
    "ON CONFLICT (tenant_id, event, key) DO NOTHING RETURNING key",
    "its key, not its own": "INSERT INTO cgk_jobs.idempotency_keys VALUES (1, 1, 9, 'victim', 'x', 'k20', 'y', '{}')",
    "a free key, not its own": "INSERT INTO cgk_jobs.idempotency_keys VALUES (1, 1, 9, 'victim', 'x', 'free', 'y', '{}') "
    "ON CONFLICT DO NOTHING",
    "is it a tenant": "INSERT INTO cgk_jobs.tenants (id, created_at, added) VALUES ('victim', 1, false) ON CONFLICT DO NOTHING",
    "itself": "INSERT INTO cgk_jobs.tenants (id, created_at, added) VALUES ('attacker', 1, false) ON CONFLICT (id) DO NOTHING",
    "numbers": "SELECT nextval('cgk_jobs.numbers')",
    "error": "SELECT 1 / count(*) FROM cgk_jobs.runs WHERE tenant_id = 'victim'",
    "cast": "SELECT payload::integer FROM cgk_jobs.runs WHERE payload LIKE 'SECRET%'",
    "plan for a tenant": "EXPLAIN SELECT * FROM cgk_jobs.runs WHERE tenant_id = 'victim'",
    "plan for a history": "EXPLAIN SELECT * FROM cgk_jobs.finished_runs WHERE tenant_id = 'victim' AND seq > 5",
    "plan for words": "EXPLAIN SELECT * FROM cgk_jobs.runs WHERE payload = 'SECRET-run'",
    "plan for a key": "EXPLAIN SELECT * FROM cgk_jobs.idempotency_keys WHERE tenant_id = 'victim' AND key = 'k20'",
    "plan for a tag": "EXPLAIN SELECT * FROM cgk_jobs.run_tags WHERE tenant_id < 'w' AND tag = 'SECRET-tag'",
    "plan for groups": "EXPLAIN SELECT tenant_id, count(*) FROM cgk_jobs.runs GROUP BY tenant_id",
    "plan for a join": "EXPLAIN SELECT * FROM cgk_jobs.runs r JOIN cgk_jobs.steps s ON s.tenant_id = r.tenant_id WHERE r.tenant_id = 'victim'",
    "work done": "EXPLAIN (ANALYZE, TIMING off, SUMMARY off) SELECT * FROM cgk_jobs.unrouted_events WHERE tenant_id = 'victim'",
    "samples": "SELECT tablename, attname, n_distinct, most_common_vals FROM pg_stats WHERE schemaname = 'cgk_jobs' ORDER BY 1, 2",
    "sizes": "SELECT relname, reltuples, relpages FROM pg_class WHERE relnamespace = 'cgk_jobs'::regnamespace ORDER BY 1",
    "binding": "SELECT cgk_jobs.bound_tenant(); SELECT set_config('cgk_jobs.token', 'victim:00', true), cgk_jobs.bound_tenant()",
}


@pytest.fixture(scope="module")
def worlds(postgres_ledgers: Ledgers) -> Iterator[Worlds]:
    made = World(postgres_ledgers.fresh()), World(postgres_ledgers.fresh(), "nobody")
    yield made
    for world in made:
        postgres_ledgers.drop(world.database)


def heard_in(world: World, script: str) -> list[str]:
    with world.session() as session:
        session.bind("attacker")
        session.run(script)
        session.connection.rollback()
    return session.heard


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_answer_is_the_same_in_both_worlds(name: str, worlds: Worlds) -> None:
    first, second = (heard_in(world, QUESTIONS[name]) for world in worlds)
    assert first == second


def test_random_guesses_are_answered_alike(worlds: Worlds) -> None:
    seed = random.randrange(2**32)
    choose = random.Random(seed)
    tables = {
        "runs": "payload",
        "finished_runs": "result",
        "steps": "result",
        "run_logs": "message",
        "idempotency_keys": "key",
    }
    with worlds[0].session() as first, worlds[1].session() as second:
        for session in (first, second):
            session.bind("attacker")
        for _ in range(300):
            table, column = choose.choice(list(tables.items()))
            guess = choose.choice(
                [
                    f"tenant_id {choose.choice(['=', '<', '>=', '<>'])} '{choose.choice(['victim', 'v', 'nobody', 'attacker'])}'",
                    f"{column} {choose.choice(['=', 'LIKE', '>', '~'])} '{choose.choice([SECRET, 'SECRET-run', 'own', 'k20'])}'",
                    f"tenant_id = 'victim' AND {column} IS NOT NULL",
                ]
            )
            verb = choose.choice(["EXPLAIN SELECT *", "SELECT count(*)", "SELECT 1 / (count(*) - 1)"])
            script = f"SAVEPOINT guess; {verb} FROM cgk_jobs.{table} WHERE {guess}"
            for session in (first, second):
                session.heard.clear()
                session.run(script)
                session.run("ROLLBACK TO guess")
            assert first.heard == second.heard, (seed, script)


def test_samples_of_the_tenants_column_would_be_heard(postgres_ledgers: Ledgers) -> None:
    """Control: with PostgreSQL's usual statistics the plans of the two worlds differ."""
    made = World(postgres_ledgers.fresh()), World(postgres_ledgers.fresh(), "nobody")
    for world in made:
        with psycopg.connect(world.database.admin_url, autocommit=True) as admin:
            admin.execute("ALTER TABLE cgk_jobs.runs ALTER tenant_id SET STATISTICS 100")
            admin.execute("ANALYZE cgk_jobs.runs")
    first, second = (heard_in(world, QUESTIONS["plan for a tenant"]) for world in made)
    for world in made:
        postgres_ledgers.drop(world.database)
    assert first != second
