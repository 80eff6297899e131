"""What the wall should be, rule by rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cgk_jobs.engine.postgres.roles import Roles

__all__ = ["PRIVATE_COLUMNS", "RULES", "TOO_MUCH_FOR_TENANTS", "Catalogue", "Problem"]

READ_BY_TENANTS = frozenset(
    {"runs", "finished_runs", "run_tags", "steps", "attempts", "run_logs", "unrouted_events", "idempotency_keys"}
)
"""Tables of which a tenant reads its own rows."""
SENT_BY_TENANTS = frozenset({"runs", "run_tags", "unrouted_events", "idempotency_keys"})
"""Tables to which a tenant adds rows of its own."""
OPEN_TO_TENANTS = frozenset({"subscriptions", "configuration"})
"""Tables of the application, with nothing of any tenant, that every tenant reads."""
FOR_THE_OWNER = frozenset({"tenant_key", "migrations"})
"""Tables the owner's functions and migrations read; workers read them too, and write neither."""
OPEN_WHERE_BOUND = frozenset({("runs", "r"), ("runs", "w"), ("steps", "r"), ("steps", "a"), ("steps", "w")})
"""What record_step(), which runs as the owner, does for the bound tenant: read and lock runs, read, add and finish steps."""
PRIVATE_COLUMNS = (
    "tenant_id",
    *(
        "payload",
        "result",
        "error",
        "failing",
        "progress",
        "metadata",
        "message",
        "key",
        "tag",
        "tags",
        "held_by",
        "slots",
    ),
    *("run_seqs", "flow_key", "order_key", "wanted"),
)
"""Columns PostgreSQL keeps no samples of."""

_PATH = "pg_catalog, cgk_jobs, pg_temp"
TOO_MUCH_FOR_TENANTS = (
    "pg_read_all_data",
    "pg_write_all_data",
    "pg_read_all_settings",
    "pg_read_all_stats",
    "pg_monitor",
    "pg_read_server_files",
    "pg_write_server_files",
    "pg_execute_server_program",
    "pg_signal_backend",
)
"""PostgreSQL's own roles that no tenant's login may be a member of."""
_FUNCTIONS = {
    "cgk_jobs.bound_tenant()": ("worker", "tenant"),
    "cgk_jobs.record_step(bigint,bigint,text,text,integer,boolean,boolean,boolean,bigint)": ("worker", "tenant"),
    "cgk_jobs.make_days(integer)": ("worker",),
    "cgk_jobs.drop_days(bigint)": ("worker",),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """``remedy`` is a statement for the owner or a superuser, or what to do. One that is not ``severe`` opens no way to another
    tenant's rows by itself."""

    object: str
    what: str
    remedy: str
    severe: bool = True

    def __str__(self) -> str:
        return f"{self.object}: {self.what}. {self.remedy}"


@dataclass(frozen=True)
class Catalogue:
    """What the scan's statements found, by statement."""

    roles: Roles
    relations: list[Any]
    policies: list[Any]
    grants: list[Any]
    functions: list[Any]
    keys: list[Any]
    hooks: list[Any]
    statistics: list[Any]
    logins: list[Any]
    tables: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", [row for row in self.relations if row["kind"] in "rp"])


def _relations(found: Catalogue) -> Iterator[Problem]:
    for row in found.relations:
        name, kind = f"cgk_jobs.{row['name']}", row["kind"]
        if row["owner"] != found.roles.owner:
            yield Problem(name, f"it belongs to {row['owner']}", f"ALTER TABLE {name} OWNER TO {found.roles.owner};")
        if kind in "rp" and not row["enabled"]:
            yield Problem(name, "row security is not enabled", f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;")
        if kind in "rp" and not row["forced"]:
            yield Problem(
                name, "row security does not hold for its owner", f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY;"
            )
        if kind == "v" and not row["invoker"]:
            yield Problem(name, "a view reads with its owner's rights", f"DROP VIEW {name};")
        if kind == "m":
            yield Problem(name, "a materialized view has no row security", f"DROP MATERIALIZED VIEW {name};")
        if kind == "f":
            yield Problem(name, "a foreign table has no row security", f"DROP FOREIGN TABLE {name};")


def _policies(found: Catalogue) -> Iterator[Problem]:
    roles = found.roles
    present = {(row["relation"], *row["roles"]) for row in found.policies if row["permissive"]}
    reads = {row["relation"] for row in found.policies if row["roles"] == [roles.tenant] and row["command"] == "r"}
    sends = {row["relation"] for row in found.policies if row["roles"] == [roles.tenant] and row["command"] == "a"}
    again = "restore it as in `cgk jobs schema print`"
    for table in found.tables:
        name = table["name"]
        if not table["partition"] and (name, roles.worker) not in present:
            yield Problem(f"cgk_jobs.{name}", "no policy lets the worker in", f"{again.capitalize()}: worker_all")
        if name in READ_BY_TENANTS | OPEN_TO_TENANTS | {"tenants"} and name not in reads:
            yield Problem(f"cgk_jobs.{name}", "tenants can't read their rows", f"{again.capitalize()}: tenant_reads")
        if name in SENT_BY_TENANTS | {"tenants"} and name not in sends:
            yield Problem(f"cgk_jobs.{name}", "tenants can't send", f"{again.capitalize()}: tenant_sends")
    has_tenant = {row["name"]: row["has_tenant"] for row in found.tables}
    for row in found.policies:
        what = _policy_fault(row, roles, has_tenant.get(row["relation"], False))
        if what is not None:
            name = f"cgk_jobs.{row['relation']}"
            yield Problem(name, f"policy {row['name']} {what}", f"DROP POLICY {row['name']} ON {name}; then {again}")


def _policy_fault(row: Any, roles: Roles, has_tenant: bool) -> str | None:
    allowed, relation = row["roles"], row["relation"]
    if allowed == [roles.worker]:
        return None
    if allowed == [roles.owner]:
        return None if relation in FOR_THE_OWNER or _serves_steps(row) else "opens it to the owner's functions"
    if allowed != [roles.tenant]:
        return f"is for {', '.join(allowed) or 'PUBLIC'}"
    if row["command"] not in "ra":
        return "lets tenants change or remove rows"
    if relation in OPEN_TO_TENANTS and not has_tenant and row["command"] == "r":
        return None
    column = "id" if relation == "tenants" else "tenant_id"
    expression = row["reads"] if row["command"] == "r" else row["writes"]
    return None if _holds_to_binding(expression or "", column) else "does not hold to the bound tenant"


def _serves_steps(row: Any) -> bool:
    relation, command = row["relation"], row["command"]
    if (relation, command) not in OPEN_WHERE_BOUND:
        return False
    if command == "w" and relation == "runs":
        # Runs are locked, and not changed.
        return row["writes"] == "false" and _holds_to_binding(row["reads"], "tenant_id")
    bounds = {"r": [row["reads"]], "a": [row["writes"]], "w": [row["reads"], row["writes"]]}[command]
    return all(_holds_to_binding(text or "", "tenant_id") for text in bounds)


def _holds_to_binding(expression: str, column: str) -> bool:
    """Whether the expression is the comparison with the bound tenant, or that and more."""
    text = re.sub(r"\s+", " ", expression).replace(" AS bound_tenant", "")
    same = f"({column} = ( SELECT cgk_jobs.bound_tenant()))"
    return text == same or text.startswith(f"({same} AND ")


def _grants(found: Catalogue) -> Iterator[Problem]:
    expected = set(_expected_grants(found))
    present: set[tuple[str, str, str, str]] = set()
    for row in found.grants:
        grant = (row["kind"], row["object"], row["grantee"], row["privilege"])
        present.add(grant)
        if row["grantable"] and grant in expected:
            yield Problem(
                row["object"], f"{row['grantee']} may pass {row['privilege']} on", _revoke(row, "GRANT OPTION FOR ")
            )
        if grant not in expected:
            yield Problem(row["object"], f"{row['grantee']} has {row['privilege']}", _revoke(row))
    for kind, name, grantee, privilege in sorted(expected - present):
        where = name if kind != "COLUMN" else f"{name.rpartition('.')[0]}"
        right = privilege if kind != "COLUMN" else f"{privilege} ({name.rpartition('.')[2]})"
        yield Problem(
            name,
            f"{grantee} lacks {privilege}",
            f"GRANT {right} ON {kind.replace('COLUMN', 'TABLE')} {where} TO {grantee};",
        )


def _expected_grants(found: Catalogue) -> Iterator[tuple[str, str, str, str]]:
    worker, tenant = found.roles.worker, found.roles.tenant
    for role in (worker, tenant):
        yield ("SCHEMA", "cgk_jobs", role, "USAGE")
        yield ("SEQUENCE", "cgk_jobs.numbers", role, "USAGE")
    for table in found.tables:
        name = f"cgk_jobs.{table['name']}"
        if table["partition"]:
            continue
        for privilege in ("SELECT",) if table["name"] in FOR_THE_OWNER else ("SELECT", "INSERT", "UPDATE", "DELETE"):
            yield ("TABLE", name, worker, privilege)
    for table in READ_BY_TENANTS | OPEN_TO_TENANTS:
        yield ("TABLE", f"cgk_jobs.{table}", tenant, "SELECT")
    for table in SENT_BY_TENANTS:
        yield ("TABLE", f"cgk_jobs.{table}", tenant, "INSERT")
    yield ("COLUMN", "cgk_jobs.tenants.id", tenant, "SELECT")
    for column in ("id", "created_at", "added"):
        yield ("COLUMN", f"cgk_jobs.tenants.{column}", tenant, "INSERT")
    for function, parts in _FUNCTIONS.items():
        for part in parts:
            yield ("FUNCTION", function, worker if part == "worker" else tenant, "EXECUTE")


def _revoke(row: Any, option: str = "") -> str:
    kind, name, privilege = row["kind"], row["object"], row["privilege"]
    if kind == "DEFAULT":
        return "ALTER DEFAULT PRIVILEGES … REVOKE it: see \\ddp in psql"
    if kind == "COLUMN":
        kind, (name, _, column) = "TABLE", name.rpartition(".")
        privilege = f"{privilege} ({column})"
    return f"REVOKE {option}{privilege} ON {kind} {name} FROM {row['grantee']};"


def _functions(found: Catalogue) -> Iterator[Problem]:
    names = {row["name"] for row in found.functions}
    for name in sorted(_FUNCTIONS.keys() - names):
        yield Problem(name, "it is missing", "Restore it as in `cgk jobs schema print`")
    for row in found.functions:
        name = row["name"]
        if row["owner"] != found.roles.owner:
            yield Problem(name, f"it belongs to {row['owner']}", f"ALTER FUNCTION {name} OWNER TO {found.roles.owner};")
        if row["definer"] and row["path"] != _PATH:
            yield Problem(
                name,
                "it runs with its owner's rights, and its search_path is not fixed",
                f"ALTER FUNCTION {name} SET search_path = {_PATH};",
            )


def _keys(found: Catalogue) -> Iterator[Problem]:
    for row in found.keys:
        table = f"cgk_jobs.{row['relation']}"
        if row["kind"] == "unique":
            yield Problem(
                table,
                f"{row['name']} is unique across tenants",
                f"DROP INDEX cgk_jobs.{row['name']}; or add tenant_id to it",
            )
        else:
            yield Problem(
                table,
                f"the foreign key {row['name']} reaches across tenants",
                f"ALTER TABLE {table} DROP CONSTRAINT {row['name']}; or add tenant_id to both sides",
            )


def _hooks(found: Catalogue) -> Iterator[Problem]:
    for row in found.hooks:
        table = f"cgk_jobs.{row['relation']}"
        yield Problem(
            table,
            f"the {row['kind'].lower()} {row['name']} runs with the rights of whoever writes",
            f"DROP {row['kind']} {row['name']} ON {table};",
        )


def _statistics(found: Catalogue) -> Iterator[Problem]:
    for row in found.statistics:
        if row["relation"] == "subscriptions":
            continue
        table = f"cgk_jobs.{row['relation']}"
        yield Problem(
            f"{table}.{row['name']}",
            "PostgreSQL keeps samples of it, from which EXPLAIN answers to every tenant",
            f"ALTER TABLE {table} ALTER {row['name']} SET STATISTICS 0; ANALYZE {table};",
        )


def _logins(found: Catalogue) -> Iterator[Problem]:
    roles = found.roles
    groups = (roles.owner, roles.worker, roles.tenant)
    for row in found.logins:
        name, parts = row["name"], set(row["parts"])
        superuser = row["superuser"]
        if name in groups:
            if row["can_login"]:
                yield Problem(name, "one can log in as it", f"ALTER ROLE {name} NOLOGIN;")
            if superuser or row["bypasses"]:
                yield Problem(name, "row security does not hold for it", f"ALTER ROLE {name} NOSUPERUSER NOBYPASSRLS;")
            parts.add(name)
        elif superuser:
            # It can act as everybody, and is nobody's login: check_role and the binding refuse it.
            continue
        elif row["bypasses"] and parts & {roles.worker, roles.tenant}:
            yield Problem(name, "row security does not hold for it", f"ALTER ROLE {name} NOBYPASSRLS;")
        if roles.tenant in parts:
            yield from _tenants_login(row, parts - {roles.tenant})


def _tenants_login(row: Any, others: set[str]) -> Iterator[Problem]:
    name = row["name"]
    for other in sorted(others):
        yield Problem(name, f"it acts for tenants and is a member of {other}", f"REVOKE {other} FROM {name};")
    if row["makes_roles"] or row["replicates"]:
        yield Problem(
            name,
            "it acts for tenants and may make roles or replicate",
            f"ALTER ROLE {name} NOCREATEROLE NOREPLICATION;",
        )
    if "cgk_jobs" in row["makes_in"]:
        yield Problem(
            name,
            "it acts for tenants and may make objects beside the ledger's",
            f"REVOKE CREATE ON SCHEMA cgk_jobs FROM {name};",
        )
    for schema in row["makes_in"]:
        if schema != "cgk_jobs":
            yield Problem(
                name,
                f"it acts for tenants and may make objects in the schema {schema}, where others look names up",
                f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC; or FROM {name};",
                severe=False,
            )
    if row["can_login"] and not row["discreet"]:
        yield Problem(
            name,
            "sessions of tenants see each other's statements in pg_stat_activity",
            f"As a superuser: ALTER ROLE {name} SET track_activities = off;",
            severe=False,
        )


RULES = (_relations, _policies, _grants, _functions, _keys, _hooks, _statistics, _logins)
"""Each finds the problems of its kind."""
