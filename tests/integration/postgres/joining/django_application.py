"""A program on Django, run by its tests: ``python -m … SCENARIO WORKER_URL TENANT_URL``. Django is set up once for a process."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import django
import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from tests.integration.postgres.joining.applications import INSERT, order

from cgk_jobs import Jobs, NotConfigured
from cgk_jobs.engine.postgres.store import PostgresStore


class Ears:
    """Hears when runs were made ready."""

    def __init__(self) -> None:
        self.heard = threading.Event()

    def ready(self) -> bool:
        self.heard.set()
        return True

    def finished(self, seqs: Sequence[int]) -> None:
        """Nothing ends here."""


def write(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(INSERT.format(f"order-{number}"))


def commit(jobs: Jobs) -> None:
    ears = Ears()
    assert isinstance(jobs.provider.store, PostgresStore)
    jobs.provider.store.listen(ears)
    with transaction.atomic():
        write(1)
        jobs.sync.send(order(1), connection=connection, key="100%", tags=["%s"])
        with connection.cursor() as cursor:
            cursor.execute("SELECT cgk_jobs.bound_tenant()")
            assert cursor.fetchone() == (None,)
        assert not ears.heard.is_set()
    assert ears.heard.wait(30)


def rollback(jobs: Jobs) -> None:
    try:
        with transaction.atomic():
            write(1)
            jobs.sync.send(order(1), connection=connections["default"])
            raise KeyError
    except KeyError:
        pass


def savepoint(jobs: Jobs) -> None:
    with transaction.atomic():
        jobs.sync.send(order(1), connection=connection)
        rollback(jobs)
        jobs.sync.send(order(2), connection=connection)


def by_hand(jobs: Jobs) -> None:
    transaction.set_autocommit(False)
    jobs.sync.send(order(1), connection=connection)
    transaction.commit()
    jobs.sync.send(order(2), connection=connection)
    transaction.rollback()
    transaction.set_autocommit(True)


def refused(jobs: Jobs) -> None:
    with pytest.raises(NotConfigured, match=r"transaction\.atomic"):
        jobs.sync.send(order(1), connection=connection)

    async def view() -> None:
        with pytest.raises(NotConfigured, match="sync_to_async"):
            await jobs.send(order(1), connection=connection)

    asyncio.run(view())


def main(scenario: str, worker_url: str, tenant_url: str) -> None:
    parts = urlsplit(tenant_url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "NAME": parts.path[1:],
        "USER": parts.username,
        "PASSWORD": unquote(parts.password or ""),
    }
    settings.configure(DATABASES={"default": database}, USE_TZ=True)
    django.setup()
    jobs = Jobs(worker_url)
    scenarios = {"commit": commit, "rollback": rollback, "savepoint": savepoint, "by hand": by_hand, "refused": refused}
    scenarios[scenario](jobs)
    jobs.close()
    connections.close_all()


if __name__ == "__main__":
    main(*sys.argv[1:])
