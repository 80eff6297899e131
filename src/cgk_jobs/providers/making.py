"""From a provider's name and the settings to the provider.

The providers of this package are listed here by name; others are found by the entry point group ``cgk_jobs.providers``, whose
entries name a function that takes a ``ProviderContext`` and returns a ``JobProvider``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from cgk_jobs.clock import Clock
from cgk_jobs.errors import NotConfigured, Unsupported
from cgk_jobs.providers.provider import JobProvider, Setup
from cgk_jobs.wire.leases import Leases, LeasesHere
from cgk_jobs.wire.replays import Seen

__all__ = ["ENTRY_POINTS", "FACTORIES", "ProviderContext", "make_provider", "setup_of", "third_party"]

ENTRY_POINTS = "cgk_jobs.providers"

FACTORIES: Mapping[str, str] = {
    "bullmq": "cgk_jobs.providers.bullmq.provider:create",
    "inngest": "cgk_jobs.providers.inngest.provider:create",
    "qstash": "cgk_jobs.providers.qstash.provider:create",
    "trigger_dev": "cgk_jobs.providers.trigger_dev.provider:create",
    "vercel_cron": "cgk_jobs.providers.vercel_cron.provider:create",
}
"""The providers of this package: name to ``module:function``. Imported on demand, as each has packages of its own."""


@dataclass(frozen=True)
class ProviderContext:
    """What a provider is made of. ``values``: the settings by the names of their variables, wherever they came from.

    ``public_url``: where the application's ``jobs.asgi()`` is reached, without a slash at the end. ``signing_keys``: those of
    ``JOBS_SIGNING_KEY``, the newest first.
    """

    app: str
    values: Mapping[str, str] = field(repr=False)
    public_url: str | None
    signing_keys: tuple[bytes, ...] = field(repr=False)
    seen: Seen
    clock: Clock
    leases: Leases = field(default_factory=LeasesHere)


def third_party() -> Mapping[str, str]:
    """Providers of other packages that are installed: name to ``module:function``."""
    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def setup_of(name: str) -> Setup | None:
    """What a person does before a provider of this package works; ``None`` for one that needs nothing, or another package's."""
    if name not in FACTORIES:
        return None
    module = FACTORIES[name].partition(":")[0].rpartition(".")[0]
    found: Setup = import_module(f"{module}.settings").SETUP
    return found


def make_provider(name: str, context: ProviderContext) -> JobProvider:
    """The provider of that name.

    Raises ``NotConfigured`` for a setting that is missing or has the wrong form, or a package that is not installed, and
    ``Unsupported`` for a name nobody knows.
    """
    where = FACTORIES.get(name) or third_party().get(name)
    if where is None:
        known = ", ".join(("embedded", "postgres", *FACTORIES, *third_party()))
        raise Unsupported(f"provider {name!r}", "this installation", f"It has {known}.")
    module, _, function = where.partition(":")
    try:
        factory = cast("Callable[[ProviderContext], JobProvider]", getattr(import_module(module), function))
    except ImportError as error:
        missing = getattr(error, "name", None) or str(error)
        raise NotConfigured(
            f"the provider {name} needs the package {missing}: pip install 'cgk-jobs[{name}]'"
        ) from error
    return factory(context)
