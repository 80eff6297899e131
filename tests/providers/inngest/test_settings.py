"""What the provider is set up with, checked by its form; no message repeats a secret."""

from __future__ import annotations

import pytest

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.inngest.provider import InngestProvider
from cgk_jobs.providers.inngest.settings import read_settings

KEY = "signkey-prod-" + "ab" * 32
GOOD = {
    "INNGEST_EVENT_KEY": "an-event-key-of-some-characters",
    "INNGEST_SIGNING_KEY": KEY,
    "JOBS_PUBLIC_URL": "https://shop.example/jobs",
}


def test_the_usual() -> None:
    settings = read_settings(GOOD)
    assert (settings.api, settings.events) == ("https://api.inngest.com", "https://inn.gs")
    assert settings.keys == (("ab" * 32).encode(),)
    assert settings.bearer.startswith("signkey-prod-")
    assert "ab" * 32 not in settings.bearer


def test_a_server_of_one_s_own() -> None:
    settings = read_settings({**GOOD, "INNGEST_BASE_URL": "https://inngest.shop.example/"})
    assert (settings.api, settings.events) == ("https://inngest.shop.example",) * 2


@pytest.mark.parametrize(
    ("dev", "api"), [("1", "http://127.0.0.1:8288"), ("http://localhost:9999", "http://localhost:9999")]
)
def test_a_development_server_needs_no_keys(dev: str, api: str) -> None:
    settings = read_settings({"INNGEST_DEV": dev, "JOBS_PUBLIC_URL": "http://127.0.0.1:8000/jobs"})
    assert (settings.api, settings.dev) == (api, True)


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(NotConfigured, match=missing):
        read_settings({name: value for name, value in GOOD.items() if name != missing})


@pytest.mark.parametrize(
    "wrong",
    [
        {"INNGEST_EVENT_KEY": "short"},
        {"INNGEST_EVENT_KEY": f'"{GOOD["INNGEST_EVENT_KEY"]}"'},
        {"INNGEST_SIGNING_KEY": GOOD["INNGEST_EVENT_KEY"]},
        {"INNGEST_SIGNING_KEY": KEY[:-1]},
        {"INNGEST_SIGNING_KEY_FALLBACK": "signkey-prod-nothex"},
        {"INNGEST_SIGNING_KEY": "signkey-branch-" + "ab" * 32},
        {"INNGEST_DEV": "1"},
        {"JOBS_PUBLIC_URL": "http://shop.example/jobs"},
        {"JOBS_PUBLIC_URL": "http://127.0.0.1:8000/jobs"},
        {"INNGEST_BASE_URL": "api.inngest.com"},
    ],
)
def test_what_can_t_be_right_is_refused_without_repeating_it(wrong: dict[str, str]) -> None:
    with pytest.raises(NotConfigured) as refused:
        read_settings({**GOOD, **wrong})
    for name, value in wrong.items():
        assert name.endswith(("URL", "DEV")) or value not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text"), [("CONCURRENCY", "many"), ("CONCURRENCY", "0"), ("FUNCTIONS_PER_APP", "0"), ("RETRIES", "21")]
)
def test_options_make_sense(name: str, text: str) -> None:
    with pytest.raises(NotConfigured, match="JOBS_INNGEST"):
        InngestProvider.from_settings({**GOOD, f"JOBS_INNGEST_{name}": text})


async def test_no_secret_shows_in_its_name() -> None:
    provider = InngestProvider.from_settings(GOOD)
    shown = repr(provider) + repr(read_settings(GOOD))
    assert GOOD["INNGEST_EVENT_KEY"] not in shown
    assert "ab" * 32 not in shown
    await provider.close()
