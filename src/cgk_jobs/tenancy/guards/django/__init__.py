"""Django: a database engine whose every statement belongs to the current tenant.

    DATABASES = {"default": {
        "ENGINE": "cgk_jobs.tenancy.guards.django",
        "OPTIONS": {"tenants": "row"},      # or "schema", or an object such as TenantRows(…)
        …
    }}

The alias serves the application's code. ``migrate`` and the tables of the installation itself need an alias with Django's own
engine.
"""
