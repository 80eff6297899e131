"""Guards for the application's own data: its PostgreSQL, its Redis keys and its files follow the current tenant.

The two ways to keep tenants apart in PostgreSQL are values: ``schemas.py`` (a schema each) and ``rows.py`` (row security).
Each says what to run at the beginning of a transaction; ``connections.py``, ``sqlalchemy_engine.py`` and ``django/`` run it.
``redis_keys.py`` knows where the keys of a Redis command are, ``cache.py`` puts the tenant in front of them. ``files.py``
is a tenant's folder on any file system that fsspec knows.

Libraries are imported when a guard for them is made. Outside a tenant every guard raises ``TenantRequired``.
"""
