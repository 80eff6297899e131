"""Where the ledger's address comes from, and which provider it means."""

from __future__ import annotations

from pathlib import Path

import pytest

from cgk_jobs import Jobs
from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.registry import CAPABILITIES, create_provider
from cgk_jobs.settings import PROVIDERS, Settings, load_outside, load_settings

SECRET = "5ecret"
URL = f"postgresql://worker:{SECRET}@db.example:5433/shop"


def load(folder: Path, provider: str | None = None, database: str | None = None, **environment: str) -> Settings:
    return load_settings(provider=provider, database=database, environment=environment, folder=folder)


def worker_of(settings: Settings) -> str | None:
    return None if settings.postgres is None else settings.postgres.worker


def test_without_anything_the_ledger_is_a_file_of_the_project(tmp_path: Path) -> None:
    settings = load(tmp_path, DATABASE_URL=URL)
    assert (settings.provider, settings.database, settings.postgres) == (
        "embedded", tmp_path / ".cgk" / "jobs.db", None
    )  # fmt: skip
    assert settings.ledger == str(settings.database)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg"])
def test_a_postgres_address_chooses_the_provider(tmp_path: Path, scheme: str) -> None:
    url = URL.replace("postgresql", scheme)
    for settings in (load(tmp_path, url), load(tmp_path, database=url), load(tmp_path, JOBS_DATABASE_URL=url)):
        assert (settings.provider, settings.database, worker_of(settings)) == ("postgres", None, url)
        assert settings.ledger == "worker@db.example:5433/shop"


def test_an_application_chooses_postgres_by_its_address() -> None:
    jobs = Jobs(URL)
    try:
        assert jobs.provider.name == "postgres"
        assert jobs.provider.capabilities.many_hosts
        assert jobs.provider.capabilities.transactional_send
    finally:
        jobs.close()


def test_database_url_counts_only_for_a_provider_that_is_not_embedded(tmp_path: Path) -> None:
    assert worker_of(load(tmp_path, "postgres", DATABASE_URL=URL)) == URL
    own = URL + "_jobs"
    assert worker_of(load(tmp_path, "postgres", DATABASE_URL=URL, JOBS_DATABASE_URL=own)) == own
    (tmp_path / ".env").write_text(f"JOBS_DATABASE_URL={own}\n")
    settings = load(tmp_path, "postgres", DATABASE_URL=URL)
    assert worker_of(settings) == own
    assert ".env" in settings.sources["database"]


def test_the_other_logins_are_settings_too(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.cgk-jobs]\ntenant_database_url = "postgresql://tenant@db/shop"\n')
    settings = load(tmp_path, URL, JOBS_ADMIN_DATABASE_URL="postgresql://admin@db/shop")
    assert settings.postgres is not None
    assert settings.postgres.admin == "postgresql://admin@db/shop"
    assert settings.postgres.tenant == "postgresql://tenant@db/shop"


def test_no_password_is_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, URL)
    assert SECRET not in repr(settings)
    with pytest.raises(NotConfigured) as refusal:
        load(tmp_path, URL + "?channel_binding=require")
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    ("provider", "environment", "message"),
    [
        ("postgres", {}, "needs JOBS_DATABASE_URL=postgresql://"),
        ("postgres", {"DATABASE_URL": "mysql://host/shop"}, "environment variable DATABASE_URL: mysql:// is no PostgreSQL"),
        ("postgres", {"JOBS_DATABASE_URL": "sqlite:///jobs.db"}, "sqlite:// is no PostgreSQL address"),
        ("postgres", {"JOBS_DATABASE_URL": "jobs.db"}, "is no PostgreSQL address"),
        ("postgres", {"JOBS_DATABASE_URL": "postgresql://h:x[/db"}, "JOBS_DATABASE_URL"),
        ("postgres", {"JOBS_DATABASE_URL": URL, "JOBS_TENANT_DATABASE_URL": "mysql://h/d"}, "variable JOBS_TENANT_DATABASE_URL"),
        ("postgres", {"JOBS_DATABASE_URL": URL, "JOBS_ADMIN_DATABASE_URL": "h/d"}, "variable JOBS_ADMIN_DATABASE_URL"),
        ("postgres", {"JOBS_DATABASE_URL": URL, "JOBS_SYNCHRONOUS": "full"}, "set synchronous_commit"),
        ("embedded", {"JOBS_DATABASE_URL": URL}, "choose the provider postgres"),
        (None, {"JOBS_PROVIDER": "embedded", "JOBS_DATABASE_URL": URL}, "variable JOBS_PROVIDER says embedded"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(
    tmp_path: Path, provider: str | None, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(NotConfigured) as refusal:
        load(tmp_path, provider, **environment)
    assert message in str(refusal.value)
    assert SECRET not in str(refusal.value)


def test_every_provider_of_this_version_has_its_capabilities() -> None:
    assert set(PROVIDERS) == set(CAPABILITIES)


def test_a_provider_of_another_package_is_known_by_its_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site"
    (package / "cgk_jobs_carrier-1.0.dist-info").mkdir(parents=True)
    (package / "cgk_jobs_carrier-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: cgk-jobs-carrier\nVersion: 1.0\n"
    )
    (package / "cgk_jobs_carrier-1.0.dist-info" / "entry_points.txt").write_text(
        "[cgk_jobs.providers]\ncarrier = cgk_jobs_carrier:create\n"
    )
    (package / "cgk_jobs_carrier.py").write_text(
        "def create(context):\n    raise LookupError(sorted(context.values.items()))\n"
    )
    monkeypatch.syspath_prepend(str(package))
    settings = load(tmp_path, "carrier", CARRIER_KEY="k", OTHER_KEY="x")
    assert settings.values == {"CARRIER_KEY": "k"}
    with pytest.raises(LookupError, match="CARRIER_KEY"):
        create_provider(settings)
    with pytest.raises(NotConfigured, match="carrier"):
        load(tmp_path, "courier")


KEY = "k" * 32


def test_keys_and_address_of_the_outside(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f'[tool.cgk-jobs]\npublic_url = "https://shop.example/jobs"\nsigning_key = "{KEY}"\n'
    )
    # A key that is committed with the project is no secret: it counts from the environment and .env alone.
    settings = load(tmp_path)
    assert (settings.public_url, settings.signing_keys) == ("https://shop.example/jobs", ())
    settings = load(tmp_path, JOBS_SIGNING_KEY=f"{'n' * 32}, {KEY}", JOBS_PUBLIC_URL="http://localhost:8288/")
    assert settings.public_url == "http://localhost:8288"
    assert settings.signing_keys == (b"n" * 32, KEY.encode())
    assert KEY not in repr(settings)
    outside = load_outside({"JOBS_SIGNING_KEY": KEY}, tmp_path)
    assert outside == ("https://shop.example/jobs", (KEY.encode(),), None)


@pytest.mark.parametrize("keys", ["short", "k" * 31, f"{KEY},", f"{KEY},{KEY},{KEY}", f"{KEY},short"])
def test_signing_keys_that_protect_nothing_are_refused(tmp_path: Path, keys: str) -> None:
    with pytest.raises(NotConfigured, match="variable JOBS_SIGNING_KEY: one key of at least 32 characters") as refusal:
        load(tmp_path, JOBS_SIGNING_KEY=keys)
    assert keys not in str(refusal.value)
