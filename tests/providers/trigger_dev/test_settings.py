"""What the provider is set up with, checked by its form; no message repeats a secret."""

from __future__ import annotations

import pytest

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.trigger_dev.provider import TriggerDevProvider
from cgk_jobs.providers.trigger_dev.settings import read_settings

GOOD = {
    "TRIGGER_SECRET_KEY": "tr_prod_" + "a1" * 16,
    "JOBS_PUBLIC_URL": "https://shop.example/jobs",
    "JOBS_SIGNING_KEY": "a-signing-key-of-thirty-two-characters",
}


def test_the_usual() -> None:
    settings = read_settings({**GOOD, "TRIGGER_PROJECT_REF": "proj_abcdefgh1234"})
    assert (settings.url, settings.environment, settings.project) == (
        "https://api.trigger.dev", "PRODUCTION", "proj_abcdefgh1234",
    )  # fmt: skip


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_what_is_missing_is_named(missing: str) -> None:
    with pytest.raises(NotConfigured, match=missing):
        read_settings({name: value for name, value in GOOD.items() if name != missing})


@pytest.mark.parametrize(
    "wrong",
    [
        {"TRIGGER_SECRET_KEY": "tr_pat_" + "a1" * 16},
        {"TRIGGER_SECRET_KEY": "tr_prod_short"},
        {"TRIGGER_SECRET_KEY": f'"{GOOD["TRIGGER_SECRET_KEY"]}"'},
        {"TRIGGER_SECRET_KEY": GOOD["JOBS_SIGNING_KEY"]},
        {"TRIGGER_PROJECT_REF": GOOD["TRIGGER_SECRET_KEY"]},
        {"JOBS_SIGNING_KEY": "short"},
        {"JOBS_SIGNING_KEY": ",".join(["k" * 32] * 3)},
        {"JOBS_PUBLIC_URL": "http://shop.example/jobs"},
        {"JOBS_PUBLIC_URL": "http://127.0.0.1:8000/jobs"},
        {"JOBS_PUBLIC_URL": "https://user:word@shop.example/jobs"},
        {"TRIGGER_API_URL": "api.trigger.dev"},
    ],
)
def test_what_can_t_be_right_is_refused_without_repeating_it(wrong: dict[str, str]) -> None:
    with pytest.raises(NotConfigured) as refused:
        read_settings({**GOOD, **wrong})
    for name, value in wrong.items():
        assert name.endswith("URL") or value not in str(refused.value)


@pytest.mark.parametrize("text", ["soon", "0", "-5", "1.5"])
async def test_options_are_whole_numbers(text: str) -> None:
    with pytest.raises(NotConfigured, match="JOBS_TRIGGER_ANSWER_WITHIN"):
        TriggerDevProvider.from_settings({**GOOD, "JOBS_TRIGGER_ANSWER_WITHIN": text})


async def test_no_secret_shows_in_its_name() -> None:
    provider = TriggerDevProvider.from_settings(GOOD)
    shown = repr(provider) + repr(read_settings(GOOD))
    assert GOOD["TRIGGER_SECRET_KEY"] not in shown
    assert GOOD["JOBS_SIGNING_KEY"] not in shown
    await provider.close()
