"""Workflows are tested on both engines: what a handler sees is the same."""

from tests.servers.engines import engine, jobs_harness

__all__ = ["engine", "jobs_harness"]
