"""``cgk jobs trigger-dev generate``: the same for the same tasks, shown before it is written, and nobody's own work lost."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.providers.trigger_dev.vendor import PLAN

from cgk_jobs.cli.main import cgk
from cgk_jobs.providers.trigger_dev.project import ProjectOptions, project_files, vendor_queue

APP = """
from cgk_jobs import Event, Jobs, Tick

jobs = Jobs("sqlite:///jobs.db")


class Placed(Event, name="shop.placed"):
    order_id: str


@jobs.task(on=Placed, queue="orders", timeout=90)
async def sync_order(event: Placed) -> None: ...


@jobs.cron("0 6 * * *", timezone="Europe/Berlin", tenants="seen")
async def report(tick: Tick) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("trigger_shop.py").write_text(APP)
    Path("pyproject.toml").write_text('[tool.cgk-jobs]\napp = "trigger_shop:jobs"\n')
    return tmp_path / "trigger-dev"


def generate(*arguments: str) -> Result:
    return CliRunner().invoke(cgk, ["jobs", "trigger-dev", "generate", *arguments])


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_same_tasks_give_the_same_files_in_whatever_order_they_come() -> None:
    wanted = project_files(PLAN, ProjectOptions(schedules=True))
    tasks = list(PLAN.tasks)
    for seed in range(5):
        random.Random(seed).shuffle(tasks)
        assert project_files(replace(PLAN, tasks=tasks), ProjectOptions(schedules=True)) == wanted


def test_a_further_task_changes_its_own_file_alone() -> None:
    before = project_files(PLAN, ProjectOptions())
    more = PLAN.tasks[0]._replace(id="sync_customer")
    after = project_files(replace(PLAN, tasks=[*PLAN.tasks, more]), ProjectOptions())
    assert {path for path in after if after[path] != before.get(path)} == {"src/trigger/default.ts"}


def test_no_two_queues_become_one() -> None:
    names = ["a", "A", "a.b", "a/b", "a-b", "x" * 200, "x" * 201]
    assert len({vendor_queue(name) for name in names if "/" not in name}) == len(names) - 1
    tasks = [PLAN.tasks[0]._replace(id=f"t{at}", queue=name) for at, name in enumerate(names)]
    made = project_files(replace(PLAN, tasks=tasks), ProjectOptions())
    queues = [path.lower() for path in made if path.startswith("src/trigger/") and "cgk-clock" not in path]
    assert len(set(queues)) == len(names), "also where upper and lower case are the same"


def test_it_shows_and_writes_and_then_has_nothing_to_do(folder: Path) -> None:
    assert generate("--check").exit_code == 1
    assert not folder.exists()
    written = generate()
    assert written.exit_code == 0, written.output
    assert '+  id: "sync-order",' in written.output
    before = files(folder)
    assert {"src/trigger/orders.ts", "src/trigger/default.ts", "src/cgk.ts", "package.json"} <= before.keys()
    assert "maxDuration = 150" in before["src/trigger/orders.ts"], "the task's 90 seconds and a minute"
    assert generate("--check").exit_code == 0
    assert "is what the application asks for" in generate().output
    assert files(folder) == before


def test_a_change_of_the_application_is_shown_as_a_difference(folder: Path) -> None:
    generate()
    Path("trigger_other.py").write_text(APP.replace('queue="orders"', 'queue="other"'))
    changed = generate("--app", "trigger_other:jobs")
    assert changed.exit_code == 0
    assert "--- a/src/trigger/orders.ts" in changed.output
    assert "+++ b/src/trigger/other.ts" in changed.output
    assert not (folder / "src" / "trigger" / "orders.ts").exists(), "what was generated and is not any more goes"


def test_what_somebody_wrote_is_neither_overwritten_nor_deleted(folder: Path) -> None:
    generate()
    orders = folder / "src" / "trigger" / "orders.ts"
    orders.write_text(orders.read_text() + "// mine\n")
    (folder / "src" / "trigger" / "mine.ts").write_text("export {};\n")
    refused = generate()
    assert refused.exit_code == 1
    assert "orders.ts: changed by hand" in refused.output
    assert orders.read_text().endswith("// mine\n")
    Path("trigger_less.py").write_text(APP.replace('queue="orders"', 'queue="default"'))
    assert generate("--app", "trigger_less:jobs").exit_code == 0
    assert orders.exists(), "it is not generated any more, and somebody has worked on it"
    assert generate("--force").exit_code == 0
    assert not orders.read_text().endswith("// mine\n")
    assert (folder / "src" / "trigger" / "mine.ts").exists()


def test_a_manifest_names_no_file_outside(folder: Path) -> None:
    generate()
    outside = folder.parent / "precious.txt"
    outside.write_text("x")
    manifest = folder / ".cgk-generated.json"
    manifest.write_text(manifest.read_text().replace('"package.json"', '"../precious.txt": "x", "package.json"'))
    generate()
    assert outside.exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 9, "files": {}}'])
def test_a_manifest_that_can_t_be_read_stops_it(folder: Path, text: str) -> None:
    generate()
    before = files(folder)
    (folder / ".cgk-generated.json").write_text(text)
    refused = generate("--machine", "small-1x")
    assert refused.exit_code == 3
    assert {**files(folder), ".cgk-generated.json": ""} == {**before, ".cgk-generated.json": ""}


def test_nothing_secret_is_in_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBS_SIGNING_KEY", "a-signing-key-of-thirty-two-characters")
    monkeypatch.setenv("TRIGGER_SECRET_KEY", "tr_prod_" + "a1" * 16)
    monkeypatch.setenv("TRIGGER_PROJECT_REF", "proj_abcdefgh1234")
    generate()
    text = "".join(files(folder).values())
    assert "proj_abcdefgh1234" in text
    assert "thirty-two" not in text
    assert "tr_prod_" not in text
