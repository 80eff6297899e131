"""What the provider is set up with, checked by its form; no message repeats a secret."""

from __future__ import annotations

import pytest

from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.vercel_cron.provider import VercelCronProvider
from cgk_jobs.providers.vercel_cron.settings import read_settings

SECRET = "a-secret-of-thirty-two-characters"


def test_the_usual() -> None:
    settings = read_settings({"CRON_SECRET": SECRET, "JOBS_PUBLIC_URL": "https://shop.example/jobs/"})
    assert settings.secrets == (SECRET,)
    assert settings.public_url == "https://shop.example/jobs"
    assert (settings.max_duration, settings.budget, settings.linger) == (60.0, 48.0, 5.0)


def test_a_secret_that_is_being_changed() -> None:
    settings = read_settings({"CRON_SECRET": SECRET, "CRON_SECRET_PREVIOUS": "b" * 16})
    assert settings.secrets == (SECRET, "b" * 16)


def test_where_calls_are_rare_each_waits_for_what_is_due_as_long_as_it_may() -> None:
    assert read_settings({"CRON_SECRET": SECRET, "JOBS_VERCEL_PLAN": "hobby"}).linger is None
    assert read_settings({"CRON_SECRET": SECRET, "JOBS_VERCEL_PLAN": "hobby", "JOBS_VERCEL_LINGER": "0"}).linger == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"CRON_SECRET": ""},
        {"CRON_SECRET": "short"},
        {"CRON_SECRET": SECRET + "\n"},
        {"CRON_SECRET": "ein-Schlüssel-der-länger-ist"},
        {"CRON_SECRET": "two words make no secret here"},
        {"CRON_SECRET": "x" * 513},
        {"CRON_SECRET": SECRET, "CRON_SECRET_PREVIOUS": "short"},
        {"CRON_SECRET": SECRET, "JOBS_MAX_DURATION": "a minute"},
        {"CRON_SECRET": SECRET, "JOBS_MAX_DURATION": "5"},
        {"CRON_SECRET": SECRET, "JOBS_MAX_DURATION": "999999"},
        {"CRON_SECRET": SECRET, "JOBS_VERCEL_LINGER": "-1"},
        {"CRON_SECRET": SECRET, "JOBS_VERCEL_PLAN": "enterprise?"},
    ],
)
def test_what_can_t_be_right_is_refused_without_repeating_it(wrong: dict[str, str]) -> None:
    with pytest.raises(NotConfigured) as refused:
        read_settings(wrong)
    for value in wrong.values():
        assert len(value) < 6 or value.strip() not in str(refused.value)


def test_a_preview_is_not_called_and_needs_no_secret() -> None:
    assert read_settings({"VERCEL_ENV": "preview"}).secrets == ()
    with pytest.raises(NotConfigured, match="CRON_SECRET"):
        read_settings({"VERCEL_ENV": "production"})


async def test_no_secret_shows_in_its_name() -> None:
    provider = VercelCronProvider.from_settings({"CRON_SECRET": SECRET, "JOBS_PUBLIC_URL": "https://shop.example/jobs"})
    assert SECRET not in repr(provider) + repr(read_settings({"CRON_SECRET": SECRET}))
    await provider.close()
