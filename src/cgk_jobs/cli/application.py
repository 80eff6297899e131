"""Finding the application (``module:attribute``), or the configured ledger where no application is needed."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cgk_jobs.cli.console import hear_logging
from cgk_jobs.cli.errors import NotReady
from cgk_jobs.errors import JobsError, NotConfigured, Unsupported

if TYPE_CHECKING:
    from cgk_jobs.app import Jobs
    from cgk_jobs.settings import Settings

__all__ = ["load_application", "opened", "opened_application", "read_settings"]


def read_settings() -> Settings:
    """The settings of this folder. Raises ``NotConfigured``, ``NotReady``."""
    from cgk_jobs.settings import load_settings

    try:
        return load_settings()
    except Unsupported as error:
        raise NotReady(str(error)) from error


def load_application(app: str | None) -> Jobs:
    """The ``Jobs`` object that ``app`` (``module:attribute``), or else the settings, name.

    The working directory is put on ``sys.path``, and so is the project's folder for an application the settings name.
    Raises ``NotConfigured`` for what is missing, with what to do.
    """
    folders = [Path.cwd()]
    if app is None:
        settings = read_settings()
        app = settings.app
        folders.append(settings.folder)
        if app is None:
            raise NotConfigured(
                "which application? Name it as module:attribute (shop.jobs:jobs), or write it into pyproject.toml: "
                '[tool.cgk-jobs] app = "shop.jobs:jobs" (cgk setup:jobs does)'
            )
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    jobs = _attribute(app)
    hear_logging()
    return jobs


def _attribute(app: str) -> Jobs:
    from cgk_jobs.app import Jobs

    name, colon, attribute = app.partition(":")
    if not colon or not name or not attribute:
        raise NotConfigured(f"{app!r} is no application: write module:attribute, for example shop.jobs:jobs")
    found: Any = _module(name)
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError:
        there = _applications_in(sys.modules[name])
        hint = (
            f"it has {', '.join(f'{name}:{one}' for one in there)}" if there else "it has no Jobs object: jobs = Jobs()"
        )
        raise NotConfigured(f"module {name} has no attribute {attribute!r}; {hint}") from None
    if not isinstance(found, Jobs):
        raise NotConfigured(f"{app} is a {type(found).__name__}, not a Jobs object: name the attribute that holds it")
    return found


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise NotConfigured(
                f"there is no module {error.name!r} in {Path.cwd()} or among the installed packages: "
                "run the command in the folder that holds it, or install the package"
            ) from error
        raise _broken(name, error) from error
    except JobsError as error:
        raise NotReady(f"{name} can't be loaded: {error}") from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _broken(name: str, error: BaseException) -> NotConfigured:
    where = ""
    if isinstance(error, SyntaxError):
        where = f" ({error.filename}:{error.lineno})"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        if frames:
            where = f" ({frames[-1].filename}:{frames[-1].lineno})"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return NotConfigured(f"{name} can't be imported: {type(error).__name__}: {text}{where}")


def _applications_in(module: ModuleType) -> list[str]:
    from cgk_jobs.app import Jobs

    return [name for name, value in vars(module).items() if isinstance(value, Jobs)]


@contextmanager
def opened_application(app: str | None) -> Generator[Jobs, None, None]:
    """The application, closed at the end."""
    jobs = load_application(app)
    try:
        yield jobs
    finally:
        jobs.close()


@contextmanager
def opened(app: str | None, *, create: bool = False, prefer_app: bool = False) -> Generator[Jobs, None, None]:
    """A ``Jobs`` object to read and act with, closed at the end: ``app``'s, else one over the configured ledger alone.

    ``prefer_app``: the application of the settings, if they name one, for commands that know more with its code at hand.
    ``create``: a ledger that isn't there yet is made; else it is missed with ``NotConfigured``, as a command in the wrong
    folder would otherwise answer that there is nothing.
    """
    settings = read_settings()
    if app is not None or (prefer_app and settings.app is not None):
        jobs = load_application(app)
    else:
        from cgk_jobs.app import Jobs

        jobs = Jobs()
        hear_logging()
    try:
        place = jobs.settings.database if jobs.settings is not None else None
        if not create and place is not None and not place.exists():
            raise NotConfigured(
                f"there is no ledger at {place} yet: run the command in the application's folder, set JOBS_DATABASE_URL, "
                "or make one with cgk setup:jobs"
            )
        yield jobs
    finally:
        jobs.close()
