"""Each error has its exit code."""

from __future__ import annotations

import pytest

from cgk_jobs import errors
from cgk_jobs.cli.errors import Failure, failure_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RunNotFound("x"), 1),
        (errors.RunFailed("x"), 1),
        (errors.WaitTimeout("x"), 1),
        (errors.DuplicateKey("x"), 1),
        (errors.TenantRequired("x"), 2),
        (errors.TenantMismatch("x"), 2),
        (errors.InvalidEvent("x"), 2),
        (errors.UnknownEvent("x"), 2),
        (errors.InvalidTask("x"), 2),
        (errors.Unsupported("x", "y", "z"), 2),
        (errors.NotConfigured("x"), 3),
        (errors.ForeignDatabase("x"), 3),
        (errors.ProviderUnavailable("x"), 4),
    ],
)
def test_exit_codes(error: errors.JobsError, code: int) -> None:
    assert failure_of(error).exit_code == code


def test_the_message_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Failure("bad \x1b[2J\nwhat to do").show()
    assert capsys.readouterr() == ("", "error: bad \\x1b[2J\nwhat to do\n")
