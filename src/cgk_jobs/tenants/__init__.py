"""``jobs.tenants``: who there is, what each may use and does use, and all of it given out or purged."""

from cgk_jobs.tenants.tenants import Tenants, TenantSource
from cgk_jobs.tenants.views import Exported, Purged, QuotaUse, TenantView, Usage, UsagePeriod

__all__ = [
    "Exported",
    "Purged",
    "QuotaUse",
    "TenantSource",
    "TenantView",
    "Tenants",
    "Usage",
    "UsagePeriod",
]
