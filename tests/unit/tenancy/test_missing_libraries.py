"""What the guards stand on is optional: a guard whose library is missing says how to install it; nothing else needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPTIONAL = ("asyncpg", "psycopg", "psycopg_pool", "sqlalchemy", "django", "redis", "fsspec")


def run_without(libraries: tuple[str, ...], code: str) -> str:
    """The output of a fresh interpreter that can't import the libraries."""
    program = f"import sys\nfor name in {libraries!r}: sys.modules[name] = None\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("code", "install"),
    [
        ("from cgk_jobs.tenancy import TenantCache", "pip install 'cgk-jobs[redis]'"),
        ("from cgk_jobs.tenancy import AsyncTenantCache", "pip install 'cgk-jobs[redis]'"),
        ("from cgk_jobs.tenancy import TenantFiles", "pip install 'cgk-jobs[storage]'"),
        ("from cgk_jobs.tenancy import guard_engine; guard_engine(object(), 'row')", "pip install 'sqlalchemy>=2'"),
        ("import cgk_jobs.tenancy.guards.django.base", "pip install django 'psycopg[binary]'"),
        (
            "from cgk_jobs.tenancy import tenant_connection; tenant_connection(object(), 'row')",
            "pip install 'psycopg[pool]'",
        ),
        (
            "from cgk_jobs import tenant; from cgk_jobs.tenancy import bind_tenant\nwith tenant('a'): bind_tenant(object(), 'row')",
            "pip install 'psycopg[binary]'",
        ),
    ],
)
def test_the_error_says_what_to_install(code: str, install: str) -> None:
    attempt = "\n    ".join(code.splitlines())
    program = f"from cgk_jobs import NotConfigured\ntry:\n    {attempt}\nexcept NotConfigured as error: print(error)"
    assert install in run_without(OPTIONAL, program)


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import cgk_jobs.tenancy as tenancy\n"
        "from cgk_jobs.tenancy import TenantSchemas, TenantRows, tenant_key, tenant_connection, guard_engine\n"
        f"print([name for name in {OPTIONAL!r} if name in sys.modules], sorted(set(dir(tenancy)) ^ set(tenancy.__all__)))"
    )
    assert run_without((), code) == "[] []"


def test_a_name_that_is_not_there() -> None:
    import cgk_jobs.tenancy

    with pytest.raises(AttributeError, match="no attribute 'TenantMagic'"):
        cgk_jobs.tenancy.TenantMagic  # noqa: B018
    for name in cgk_jobs.tenancy.__all__:
        assert getattr(cgk_jobs.tenancy, name) is not None
