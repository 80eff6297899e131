"""The ledger in PostgreSQL 14 or newer: the same ``Store`` as SQLite's, for workers on many hosts.

Everything is in the schema ``cgk_jobs`` and found by its full name. The database's clock decides what is due. The driver
is asyncpg (docs/decisions/0005-postgres-driver.md), asked for as the extra ``cgk-jobs[postgres]``: nothing outside this
package imports it, and importing this package without it raises ``NotConfigured``.
"""

from importlib.util import find_spec

from cgk_jobs.errors import NotConfigured

if find_spec("asyncpg") is None:
    raise NotConfigured("PostgreSQL needs the driver asyncpg: pip install 'cgk-jobs[postgres]'")
