"""Finding the application, and saying what to do where there is none."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from tests.unit.cli.conftest import APP, MODULE

from cgk_jobs.cli.application import load_application, opened
from cgk_jobs.cli.errors import NotReady
from cgk_jobs.errors import NotConfigured


def test_the_settings_name_it(shop: Path) -> None:
    jobs = load_application(None)
    assert [task.id for task in jobs.tasks] == ["sync-order", "hourly"]
    assert jobs.settings is not None
    assert jobs.settings.database == shop / ".cgk" / "jobs.db"


def test_it_is_found_from_a_folder_below_too(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "below").mkdir()
    monkeypatch.chdir(shop / "below")
    assert len(load_application(None).tasks) == 2


def test_without_settings_it_must_be_named(folder: Path) -> None:
    with pytest.raises(NotConfigured, match=r"module:attribute .* \[tool.cgk-jobs\] app"):
        load_application(None)


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (MODULE, "write module:attribute"),
        (f"{MODULE}:", "write module:attribute"),
        ("no_such_module:jobs", "there is no module 'no_such_module' in "),
        (f"{MODULE}.deeper:jobs", f"there is no module '{MODULE}.deeper'"),
        (f"{MODULE}:work", f"has no attribute 'work'; it has {APP}"),
        (f"{MODULE}:OrderPlaced", "is a ModelMetaclass, not a Jobs object"),
    ],
)
def test_what_is_missing_is_named(shop: Path, app: str, message: str) -> None:
    with pytest.raises(NotConfigured, match=message):
        load_application(app)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_dependency\n", "can't be imported: ModuleNotFoundError: .*no_such_dependency"),
        ("x = 1\nraise ValueError('broken')\n", rf"ValueError: broken \(.*{MODULE}.py:2\)"),
        ("x = (\n", rf"SyntaxError: .* \(.*{MODULE}.py:1\)"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_imported_says_where(folder: Path, code: str, message: str) -> None:
    (folder / f"{MODULE}.py").write_text(code)
    importlib.invalidate_caches()
    with pytest.raises(NotConfigured, match=message):
        load_application(APP)


def test_a_wrong_declaration_is_a_matter_of_setup(folder: Path) -> None:
    (folder / f"{MODULE}.py").write_text(
        "from cgk_jobs import Jobs\njobs = Jobs()\n@jobs.cron('61 * * * *', tenants='each')\nasync def tick(t): ...\n"
    )
    importlib.invalidate_caches()
    with pytest.raises(NotReady, match=f"{MODULE} can't be loaded: "):
        load_application(APP)


def test_a_ledger_is_missed_where_there_is_none_and_not_made(folder: Path) -> None:
    with pytest.raises(NotConfigured, match=r"there is no ledger at .*jobs\.db yet"), opened(None):
        raise AssertionError
    assert not (folder / ".cgk").exists()
    with opened(None, create=True) as jobs:
        assert jobs.provider.name == "embedded"


def test_the_ledger_of_an_application_with_its_own_is_read(folder: Path) -> None:
    (folder / f"{MODULE}.py").write_text("from cgk_jobs import Jobs\njobs = Jobs(database='own.db')\n")
    importlib.invalidate_caches()
    with opened(APP, create=True) as jobs:
        assert jobs.settings is not None
        assert jobs.settings.database == folder / "own.db"
