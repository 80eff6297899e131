"""Addresses in settings: the vendor's, and the application's own as the vendor reaches it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from cgk_jobs.errors import NotConfigured

__all__ = ["LOCAL", "check_reachable", "host_of"]

LOCAL = frozenset({"127.0.0.1", "::1", "localhost"})


def host_of(name: str, url: str) -> str:
    """The host of the address in the setting ``name``. Raises ``NotConfigured``, not repeating the value.

    It may be put into a path as it is, so it has nothing that would end that path.
    """
    try:
        address = urlsplit(url)
        host = address.hostname or ""
    except ValueError:
        host, address = "", urlsplit("")
    plain = re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/-]*)?", url, re.ASCII)
    if not plain or not host or url.endswith("/"):
        raise NotConfigured(f"{name} must be https://host/path: no login, no query, no slash at the end")
    if address.scheme == "http" and host not in LOCAL:
        raise NotConfigured(f"{name} must begin with https://: keys and signatures don't travel in the open")
    return host


def check_reachable(vendor: str, vendor_host: str, own_host: str) -> None:
    """Raises ``NotConfigured`` for an own address that only this machine reaches, and a vendor elsewhere."""
    if own_host in LOCAL and vendor_host not in LOCAL:
        raise NotConfigured(
            f"JOBS_PUBLIC_URL is an address of this machine, which {vendor} can't reach: give the public one, or while "
            "developing that of a tunnel"
        )
