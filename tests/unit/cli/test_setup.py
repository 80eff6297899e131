"""``cgk setup:jobs``: what it does, asks, and undoes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import click
import pytest
from tests.unit.cli.conftest import APP, MODULE, SHOP, Command

from cgk_jobs.cli import verification
from cgk_jobs.cli.errors import Failure

BEFORE = '[project]\nname = "shop"  # ours\n'
AFTER = f'{BEFORE}\n[tool.cgk-jobs]\napp = "{APP}"\n'


@pytest.fixture
def fresh(folder: Path) -> Path:
    """A project with an application and no settings."""
    (folder / f"{MODULE}.py").write_text(SHOP)
    importlib.invalidate_caches()
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_it_sets_up_and_proves_it_with_a_run(fresh: Path, run: Command) -> None:
    found = json.loads(run("setup:jobs", "--yes", "--json").stdout)
    assert (fresh / "pyproject.toml").read_text() == AFTER
    assert (fresh / ".cgk" / ".gitignore").read_text() == "*\n"
    assert found["app"] == APP
    assert found["changed"] == [str(fresh / "pyproject.toml"), str(fresh / ".cgk" / "jobs.db")]
    assert len(found["next"]) == 3
    # The run is really there.
    shown = json.loads(run("jobs", "show", found["verified"]["run_id"], "--all-tenants", "--json").stdout)
    assert (shown["state"], shown["result"], shown["tenant_id"]) == ("completed", 42, "platform")
    assert [step["name"] for step in shown["steps"]] == ["answer"]
    # And no tenant was made up for it.
    assert json.loads(run("jobs", "tenants", "--json").stdout) == {"tenants": []}


def test_again_changes_nothing(fresh: Path, run: Command) -> None:
    run("setup:jobs", "--yes")
    found = json.loads(run("jobs", "setup", "--yes", "--json").stdout)
    assert found["changed"] == []
    assert found["sources"]["app"] == f"[tool.cgk-jobs] app in {fresh / 'pyproject.toml'}"
    assert (fresh / "pyproject.toml").read_text() == AFTER
    assert "nothing was changed" in run("setup:jobs", "--yes").stderr


def test_the_difference_is_shown_before_it_is_written(fresh: Path, run: Command) -> None:
    shown = run("setup:jobs", stdin="y\n")
    assert f'+app = "{APP}"' in shown.stderr
    assert shown.stderr.index("+[tool.cgk-jobs]") < shown.stderr.index("Write this into")
    assert shown.stdout.splitlines()[-3:] == ["cgk jobs dev", "cgk jobs schedules", "cgk jobs runs --all-tenants"]
    assert (fresh / "pyproject.toml").read_text() == AFTER


def test_no_leaves_the_file_and_names_the_application_instead(fresh: Path, run: Command) -> None:
    shown = run("setup:jobs", stdin="n\n")
    assert (fresh / "pyproject.toml").read_text() == BEFORE
    assert shown.stdout.splitlines()[-3] == f"cgk jobs dev {APP}"
    assert (fresh / ".cgk" / "jobs.db").exists()


def test_skip_env_leaves_the_file_unasked(fresh: Path, run: Command) -> None:
    run("setup:jobs", "--skip-env", stdin="")
    assert (fresh / "pyproject.toml").read_text() == BEFORE
    assert (fresh / ".cgk" / "jobs.db").exists()


def test_a_project_without_pyproject_gets_one(fresh: Path, run: Command) -> None:
    (fresh / "pyproject.toml").unlink()
    run("setup:jobs", "--yes")
    assert (fresh / "pyproject.toml").read_text() == f'[tool.cgk-jobs]\napp = "{APP}"\n'


def test_a_provider_named_is_remembered(fresh: Path, run: Command) -> None:
    run("setup:jobs", "--yes", "--provider", "embedded")
    assert (fresh / "pyproject.toml").read_text() == f'{AFTER}provider = "embedded"\n'


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("inngest", "INNGEST_EVENT_KEY"),
        ("qstash", "QSTASH_TOKEN"),
        ("trigger_dev", "TRIGGER_SECRET_KEY"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_provider_without_its_keys_or_that_there_is_not_is_refused(
    fresh: Path, run: Command, provider: str, said: str
) -> None:
    assert said in run("setup:jobs", "--yes", "--provider", provider, code=3).stderr
    assert sorted(contents(fresh)) == ["pyproject.toml", f"{MODULE}.py"]


def test_dry_run_shows_all_and_does_nothing(fresh: Path, run: Command) -> None:
    before = contents(fresh)
    shown = run("setup:jobs", "--dry-run")
    assert f'+app = "{APP}"' in shown.stderr
    assert f"Would write {fresh / 'pyproject.toml'}, {fresh / '.cgk' / 'jobs.db'} and run a job." in shown.stderr
    assert contents(fresh) == before


def test_verify_only_needs_a_ledger_and_writes_no_settings(fresh: Path, run: Command) -> None:
    assert "there is no ledger" in run("setup:jobs", "--verify-only", code=3).stderr
    assert sorted(contents(fresh)) == ["pyproject.toml", f"{MODULE}.py"]
    run("setup:jobs", "--yes", "--skip-env")
    assert "a job ran end to end" in run("setup:jobs", "--verify-only").stderr
    assert (fresh / "pyproject.toml").read_text() == BEFORE


def test_several_applications_are_asked_about(fresh: Path, run: Command) -> None:
    (fresh / "zebra.py").write_text("from cgk_jobs import Jobs\njobs = Jobs()\n")
    importlib.invalidate_caches()
    assert f"{APP}, zebra:jobs" in run("setup:jobs", "--yes", code=3).stderr
    run("setup:jobs", stdin="2\ny\n")
    assert 'app = "zebra:jobs"' in (fresh / "pyproject.toml").read_text()


def test_without_an_application_it_says_what_one_is(folder: Path, run: Command) -> None:
    shown = run("setup:jobs", "--yes")
    assert "jobs = Jobs()" in shown.stderr
    assert "cgk jobs demo" in shown.stdout
    assert (folder / "pyproject.toml").read_text() == BEFORE


def test_settings_of_the_environment_are_named_and_not_written(
    fresh: Path, run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS_APP", APP)
    (fresh / ".env").write_text("JOBS_DATABASE_URL=sqlite:///deep/er/own.db\n")
    shown = run("setup:jobs", "--yes")
    assert f"application\t{APP}\tenvironment variable JOBS_APP" in shown.stdout
    assert f"ledger\t{fresh}/deep/er/own.db\tJOBS_DATABASE_URL in {fresh}/.env" in shown.stdout
    assert (fresh / "pyproject.toml").read_text() == BEFORE
    assert not (fresh / "deep" / "er" / ".gitignore").exists()


# -- half-way --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problem", "code"), [(Failure("it did not come through"), 1), (click.Abort(), 1), (KeyboardInterrupt(), 1)]
)
@pytest.mark.parametrize("pyproject", [BEFORE, None])
def test_what_was_done_is_undone_if_the_run_does_not_come_through(
    fresh: Path, run: Command, monkeypatch: pytest.MonkeyPatch, problem: BaseException, code: int, pyproject: str | None
) -> None:
    if pyproject is None:
        (fresh / "pyproject.toml").unlink()
    before = contents(fresh)
    real = verification.verify

    async def verify(database: Path) -> Any:
        await real(database)
        assert (fresh / "pyproject.toml").read_text() != BEFORE
        raise problem

    monkeypatch.setattr(verification, "verify", verify)
    run("setup:jobs", "--yes", code=code)
    assert contents(fresh) == before
    assert not (fresh / ".cgk").exists()


def test_a_ledger_that_was_there_survives_a_failure(fresh: Path, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    run("setup:jobs", "--yes", "--skip-env")
    (fresh / ".cgk" / "kept").touch()

    async def verify(database: Path) -> Any:
        raise Failure("no")

    monkeypatch.setattr(verification, "verify", verify)
    run("setup:jobs", "--yes", code=1)
    assert (fresh / ".cgk" / "jobs.db").exists()
    assert (fresh / ".cgk" / "kept").exists()
    assert (fresh / "pyproject.toml").read_text() == BEFORE


def test_an_application_that_cannot_be_loaded_stops_it_before_anything_is_done(fresh: Path, run: Command) -> None:
    (fresh / f"{MODULE}.py").write_text(SHOP + "\nraise ValueError('broken')\n")
    importlib.invalidate_caches()
    assert "broken" in run("setup:jobs", "--yes", code=3).stderr
    assert sorted(contents(fresh)) == ["pyproject.toml", f"{MODULE}.py"]


def test_a_file_of_another_program_is_left_alone(fresh: Path, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    (fresh / "other.db").write_bytes(b"something else entirely, and longer than a header of one hundred bytes" * 9)
    before = (fresh / "other.db").read_bytes()
    monkeypatch.setenv("JOBS_DATABASE_URL", "sqlite:///other.db")
    run("setup:jobs", "--yes", code=3)
    assert (fresh / "other.db").read_bytes() == before
    assert (fresh / "pyproject.toml").read_text() == BEFORE
