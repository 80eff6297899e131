"""``cgk setup:jobs``: from nothing to a job that has run, and back to nothing if that fails half-way."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cgk_jobs.cli.application import load_application
from cgk_jobs.cli.console import printable, result, say, show_json, styled, write
from cgk_jobs.cli.discovery import find_applications
from cgk_jobs.cli.errors import Failure, NotReady
from cgk_jobs.cli.formats import duration
from cgk_jobs.cli.options import json_option
from cgk_jobs.cli.pyproject_file import difference, read_text, with_settings, write_text
from cgk_jobs.cli.tables import Column, show_table
from cgk_jobs.errors import NotConfigured, Unsupported

if TYPE_CHECKING:
    from cgk_jobs.checkup.findings import Finding
    from cgk_jobs.cli.verification import Verified
    from cgk_jobs.settings import Settings

__all__ = ["setup"]


@dataclass
class Plan:
    """What setting up means here. ``pyproject``: its new text, or ``None`` if it stays as it is. ``chosen``: the settings
    whose ledger is used, the application's own or those of the project."""

    settings: Settings
    app: str | None
    app_source: str
    chosen: Settings
    values: dict[str, str] = field(default_factory=dict[str, str])
    before: str = ""
    pyproject: str | None = None

    @property
    def file(self) -> Path:
        """Where pyproject.toml is, or will be."""
        return self.settings.folder / "pyproject.toml"

    @property
    def ledger(self) -> Path | str:
        """The ledger to try: a file, or the address of one in PostgreSQL, which ``cgk jobs schema apply`` makes."""
        if self.chosen.postgres is not None:
            return self.chosen.postgres.worker
        return self.chosen.database or ""


@click.command("setup:jobs")
@click.option("--provider", metavar="PROVIDER", help="Who wakes runs: embedded, postgres, bullmq, inngest, …")
@click.option("--yes", is_flag=True, help="Ask nothing: do what would be proposed.")
@click.option("--verify-only", is_flag=True, help="Change no settings and make no ledger; only see that a job runs.")
@click.option("--skip-env", is_flag=True, help="Leave pyproject.toml as it is.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@json_option
def setup(*, provider: str | None, yes: bool, verify_only: bool, skip_env: bool, dry_run: bool, as_json: bool) -> None:
    """Set jobs up in this project: find its settings, make the ledger, write [tool.cgk-jobs], and run a job.

    Running it again changes nothing that is right already. If it fails or is stopped half-way, what it did is undone.
    """
    if verify_only and dry_run:
        raise click.UsageError("--verify-only runs a job and --dry-run does nothing: give one of them")
    undo = ExitStack()
    changed: list[str] = []
    verified: Verified | None = None
    try:
        ask = not (yes or verify_only or dry_run)
        _collect_keys(provider, undo, changed, ask=ask, write=not (verify_only or skip_env or dry_run))
        plan = _plan(provider, ask=ask, configure=not (verify_only or skip_env))
        if not as_json:
            _show_settings(plan)
        if dry_run:
            _show_plan(plan, changed)
        elif verify_only:
            verified = _verify_only(plan)
        else:
            _write_settings(plan, undo, changed, yes)
            verified = _make_and_verify(plan, undo, changed)
    except BaseException as error:
        _take_back(undo)
        if not isinstance(error, click.Abort | KeyboardInterrupt):
            raise
        say("")
        say("Stopped. Whatever was done is undone.")
        raise Failure("setting up was stopped") from None
    trouble = None if dry_run else _trouble_of_provider(plan, adopt=not verify_only)
    _finish(plan, changed, verified, trouble, as_json, dry_run)


def _take_back(undo: ExitStack) -> None:
    """Undo what was done. A second Ctrl-C must not leave half of it undone."""
    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    try:
        undo.close()
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)


# -- the provider and its keys ---------------------------------------------------------------------------------------


def _collect_keys(provider: str | None, undo: ExitStack, changed: list[str], *, ask: bool, write: bool) -> None:
    from cgk_jobs.cli.setup_keys import collect, write_env
    from cgk_jobs.settings import project_folder

    folder = project_folder()
    name = provider or os.environ.get("JOBS_PROVIDER") or ""
    change = collect(name, folder, os.environ, ask=ask)
    if not change.values or not write:
        return
    say(f"{change.path} gets:")
    for line in change.shown():
        say(f"  {line}", fg="green")
    if ask and not click.confirm("Write this?", default=True, err=True):
        raise click.Abort
    write_env(change, undo, changed)


# -- planning --------------------------------------------------------------------------------------------------------


def _plan(provider: str | None, *, ask: bool, configure: bool) -> Plan:
    from cgk_jobs.providers.registry import create_provider
    from cgk_jobs.settings import load_settings

    try:
        settings = load_settings(provider=provider)
    except Unsupported as error:
        raise NotReady(str(error)) from error
    # What the provider needs and has not got is said before anything is written.
    create_provider(settings).close()
    app, source = settings.app, settings.sources["app"]
    if app is None:
        app = _find_application(settings.folder, ask)
        source = "found in the sources" if app is not None else "none found"
    plan = Plan(settings, app, source, settings)
    if app is not None:
        # Loaded here to see that it can be, and because it may name a ledger of its own.
        jobs = load_application(app)
        jobs.close()
        if jobs.settings is not None:
            plan.chosen = jobs.settings
    if configure:
        if app is not None and settings.app is None:
            plan.values["app"] = app
        if provider is not None:
            # What is written is for the next commands, where the option is not there to say it.
            plan.values["provider"] = provider
        plan.before = read_text(plan.file)
        after = with_settings(plan.before, plan.values) if plan.values else plan.before
        plan.pyproject = after if after != plan.before else None
    return plan


def _find_application(folder: Path, ask: bool) -> str | None:
    found = find_applications(folder)
    if len(found) <= 1:
        return found[0] if found else None
    if not ask:
        raise NotConfigured(
            f"there are several applications: {', '.join(found)}. Choose one with JOBS_APP={found[0]}, "
            "or run cgk setup:jobs without --yes and be asked"
        )
    say("There are several applications here:")
    for number, name in enumerate(found, 1):
        say(f"  {number}  {name}")
    chosen: int = click.prompt(
        "Which one do the commands mean", type=click.IntRange(1, len(found)), default=1, err=True
    )
    return found[chosen - 1]


def _show_settings(plan: Plan) -> None:
    sources = plan.settings.sources
    ledger_source = sources["database"] if plan.chosen.ledger == plan.settings.ledger else f"the code of {plan.app}"
    rows = [
        ("provider", plan.settings.provider, sources["provider"]),
        ("ledger", plan.chosen.ledger, ledger_source),
        ("application", plan.app, plan.app_source),
    ]
    show_table((Column("SETTING"), Column("VALUE"), Column("FROM", shrinks=True)), rows)


# -- doing -----------------------------------------------------------------------------------------------------------


def _write_settings(plan: Plan, undo: ExitStack, changed: list[str], yes: bool) -> None:
    if plan.pyproject is None:
        return
    _show_difference(plan)
    if not yes and not click.confirm(f"Write this into {plan.file}?", default=True, err=True):
        say("pyproject.toml stays as it is; the commands then need the application named.")
        plan.pyproject = None
        return
    if plan.file.exists():
        undo.callback(write_text, plan.file, plan.before)
    else:
        undo.callback(plan.file.unlink, missing_ok=True)
    write_text(plan.file, plan.pyproject)
    changed.append(str(plan.file))


def _make_and_verify(plan: Plan, undo: ExitStack, changed: list[str]) -> Verified:
    from cgk_jobs.cli.verification import verify

    path = plan.chosen.database
    if path is not None:
        _make_room(path, undo, changed)
    return asyncio.run(verify(plan.ledger))


def _make_room(path: Path, undo: ExitStack, changed: list[str]) -> None:
    if not path.exists():
        changed.append(str(path))
        if not path.parent.exists():
            # Up to the first folder that was there before.
            missing = path.parent
            while not missing.parent.exists():
                missing = missing.parent
            undo.callback(shutil.rmtree, missing, ignore_errors=True)
            path.parent.mkdir(parents=True)
        undo.callback(_remove_ledger, path)
    if path.parent.name == ".cgk" and not (ignore := path.parent / ".gitignore").exists():
        # The ledger is data: it must not get into anybody's repository.
        undo.callback(ignore.unlink, missing_ok=True)
        ignore.write_text("*\n", encoding="utf-8")


def _verify_only(plan: Plan) -> Verified:
    from cgk_jobs.cli.verification import verify

    if plan.chosen.database is not None and not plan.chosen.database.exists():
        raise NotConfigured(f"there is no ledger at {plan.chosen.ledger} yet: run cgk setup:jobs without --verify-only")
    return asyncio.run(verify(plan.ledger))


def _trouble_of_provider(plan: Plan, *, adopt: bool) -> str | None:
    """What a provider that wakes from outside says is wrong, ``None`` where all is well or nobody is to be asked."""
    from cgk_jobs.checkup.provider import look_at_provider
    from cgk_jobs.providers.registry import create_provider

    if plan.settings.provider in ("embedded", "postgres"):
        return None
    bound = create_provider(plan.settings)

    async def adopt_and_look() -> list[Finding]:
        active = await bound.store.active_provider(bound.name)
        if adopt and active.name in ("embedded", "postgres") and active.version == 1:
            # Nobody has moved it: it says so because the check above, or workers before it, claimed by themselves.
            await bound.store.activate(bound.name, (), 1)
        return await look_at_provider(bound)

    try:
        found = asyncio.run(adopt_and_look())
    finally:
        bound.close()
    return "; ".join(one.text for one in found if one.level == "bad") or None


def _remove_ledger(path: Path) -> None:
    from cgk_jobs.engine.sqlite.doorbell import doorbell_folder

    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    for folder in (path.with_name(f"{path.name}-workers"), doorbell_folder(path)):
        shutil.rmtree(folder, ignore_errors=True)


# -- saying ----------------------------------------------------------------------------------------------------------


def _show_difference(plan: Plan) -> None:
    for line in difference(plan.before, plan.pyproject or ""):
        colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
        write(styled(printable(line, keep="\t"), sys.stderr, fg=colour), err=True)


def _show_plan(plan: Plan, changed: list[str]) -> None:
    if plan.pyproject is not None:
        _show_difference(plan)
        changed.append(str(plan.file))
    path = plan.chosen.database
    if path is not None and not path.exists():
        changed.append(str(path))


def _finish(
    plan: Plan, changed: list[str], verified: Verified | None, trouble: str | None, as_json: bool, dry_run: bool
) -> None:
    steps = _next_commands(plan)
    if as_json:
        show_json(
            {
                "provider": plan.settings.provider,
                "ledger": plan.chosen.ledger,
                "app": plan.app,
                "sources": plan.settings.sources | {"app": plan.app_source},
                "dry_run": dry_run,
                "changed": changed,
                "verified": verified,
                "provider_trouble": trouble,
                "next": steps,
            }
        )
        return
    if dry_run:
        say(f"Would write {', '.join(changed)} and run a job." if changed else "Would only run a job: all is set up.")
        return
    for path in changed:
        say(f"wrote     {path}", fg="green")
    if not changed:
        say("All was set up already; nothing was changed.")
    if verified is not None:
        say(f"verified  a job ran end to end in {duration(verified.seconds)} (run {verified.run_id})", fg="green")
    if trouble is not None:
        # What is set is kept: the provider may be reached later, and doctor says when.
        say(f"not yet   {trouble}. Look again with: cgk jobs doctor", fg="yellow")
    elif plan.settings.provider not in ("embedded", "postgres"):
        say(f"reached   {plan.settings.provider}", fg="green")
    if plan.app is None:
        say(
            "No application was found. An application is a module with a Jobs object, for example in shop.py:\n"
            "    from cgk_jobs import Jobs\n    jobs = Jobs()"
        )
    say("Next:")
    for step in steps:
        result(step)


def _next_commands(plan: Plan) -> list[str]:
    written = plan.settings.app is not None or (plan.pyproject is not None and "app" in plan.values)
    app = f" {plan.app}" if plan.app is not None and not written else ""
    if plan.app is None:
        return ["cgk jobs demo", "cgk jobs events", "cgk jobs dev shop:jobs"]
    return [f"cgk jobs dev{app}", f"cgk jobs schedules{app and f' --app{app}'}", "cgk jobs runs --all-tenants"]
