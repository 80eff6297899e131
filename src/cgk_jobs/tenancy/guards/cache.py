"""Redis clients whose every key belongs to the current tenant."""

# redis-py has types for commands and their answers, and none for what they are built on.
# mypy: allow-untyped-calls
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any, NoReturn, cast

from cgk_jobs.errors import NotConfigured, Unsupported
from cgk_jobs.tenancy.context import current_tenant
from cgk_jobs.tenancy.guards.tenant_keys import KeySpace, Reply, require_same_pipeline_tenant

try:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio.client import Pipeline as AsyncPipeline
    from redis.client import Pipeline
except ImportError as missing:
    raise NotConfigured("the cache of a tenant needs redis-py: pip install 'cgk-jobs[redis]'") from missing

__all__ = ["AsyncTenantCache", "TenantCache"]

_CHANNELS = "Channels have no tenant; use a client of your own and name the channel by tenant_key(…)"


class TenantCache(Redis):
    """``client`` for the current tenant: the same methods, on keys named ``namespace:tenant:key``.

    It shares the client's connections. What can't be kept to the tenant's keys raises ``Unsupported``: KEYS, FLUSHDB, scripts
    without keys, channels, commands whose keys aren't known. A Lua script must keep to the keys it is given, as in a cluster.
    Outside a tenant every command raises ``TenantRequired``.
    """

    def __init__(self, client: Redis, *, namespace: str = "tenant") -> None:
        given = cast(object, client)
        if not isinstance(given, Redis) or isinstance(given, (Pipeline, TenantCache)):
            raise NotConfigured(f"TenantCache takes a redis.Redis, not {type(client).__name__}")
        super().__init__(connection_pool=client.connection_pool)
        self.response_callbacks = client.response_callbacks
        self._client = client  # it owns the connections
        self._keys = KeySpace(namespace)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> TenantCache:
        """The cache on a client of its own. ``options`` are redis-py's, and ``namespace``."""
        namespace = options.pop("namespace", "tenant")
        return cls(Redis.from_url(url, **options), namespace=namespace)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Every method of the client comes through here."""
        rewritten, options, reply = self._keys.rewrite(current_tenant(), args, options)
        return reply.own(super().execute_command(*rewritten, **options))

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> TenantPipeline:
        """A pipeline of the tenant that is current at its first command."""
        return TenantPipeline(self, self._keys, transaction, shard_hint)

    def clear(self, match: str = "*") -> int:
        """Delete the current tenant's keys that match the pattern; how many there were."""
        return sum(self.unlink(key) for key in list(self.scan_iter(match=match, count=1000)))

    def close(self) -> None:
        """Close the client's connections."""
        self._client.close()

    def client(self) -> NoReturn:
        """Refused: it would be a client without guard."""
        raise Unsupported("client()", "a tenant's cache", "Make the client first, and a TenantCache of it")

    def pubsub(self, **kwargs: Any) -> NoReturn:
        """Refused: channels have no tenant."""
        raise Unsupported("pubsub()", "a tenant's cache", _CHANNELS)

    def keyspace_notifications(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: they tell of all tenants' keys."""
        raise Unsupported("keyspace_notifications()", "a tenant's cache", _CHANNELS)

    def monitor(self) -> NoReturn:
        """Refused: it shows the commands of all tenants."""
        raise Unsupported("monitor()", "a tenant's cache", "It shows the commands of all tenants")


class TenantPipeline(Pipeline):
    """A pipeline of one tenant."""

    def __init__(self, cache: TenantCache, keys: KeySpace, transaction: bool, shard_hint: Any) -> None:
        super().__init__(cache.connection_pool, cache.response_callbacks, transaction, shard_hint)
        self._staged = _Staged(keys)

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """What runs at once, between WATCH and MULTI."""
        rewritten, options, reply = self._staged.rewrite(args, options)
        return reply.own(super().immediate_execute_command(*rewritten, **options))

    def pipeline_execute_command(self, *args: Any, **options: Any) -> Pipeline:
        """What waits for ``execute``."""
        rewritten, options, reply = self._staged.rewrite(args, options)
        self._staged.replies.append(reply)
        return super().pipeline_execute_command(*rewritten, **options)

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Run what was staged. Raises ``TenantMismatch`` under another tenant."""
        replies = self._staged.take()
        return _own(replies, super().execute(raise_on_error))

    def reset(self) -> Any:
        """Forget what was staged."""
        self._staged.clear()
        super().reset()


class AsyncTenantCache(AsyncRedis):
    """:class:`TenantCache` for ``redis.asyncio``."""

    def __init__(self, client: AsyncRedis, *, namespace: str = "tenant") -> None:
        given = cast(object, client)
        if not isinstance(given, AsyncRedis) or isinstance(given, (AsyncPipeline, AsyncTenantCache)):
            raise NotConfigured(f"AsyncTenantCache takes a redis.asyncio.Redis, not {type(client).__name__}")
        super().__init__(connection_pool=client.connection_pool)
        self.response_callbacks = client.response_callbacks
        self._client = client
        self._keys = KeySpace(namespace)

    @classmethod
    def from_url(cls, url: str, *args: Any, **options: Any) -> AsyncTenantCache:
        """The cache on a client of its own. ``options`` are redis-py's, and ``namespace``."""
        namespace = options.pop("namespace", "tenant")
        return cls(AsyncRedis.from_url(url, *args, **options), namespace=namespace)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Every method of the client comes through here."""
        rewritten, options, reply = self._keys.rewrite(current_tenant(), args, options)
        return reply.own(await super().execute_command(*rewritten, **options))

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> AsyncTenantPipeline:
        """A pipeline of the tenant that is current at its first command."""
        return AsyncTenantPipeline(self, self._keys, transaction, shard_hint)

    async def clear(self, match: str = "*") -> int:
        """Delete the current tenant's keys that match the pattern; how many there were."""
        keys = [key async for key in self.scan_iter(match=match, count=1000)]
        return sum([await self.unlink(key) for key in keys])

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Close the client's connections."""
        await self._client.aclose(close_connection_pool)

    def client(self) -> NoReturn:
        """Refused: it would be a client without guard."""
        raise Unsupported("client()", "a tenant's cache", "Make the client first, and an AsyncTenantCache of it")

    def pubsub(self, **kwargs: Any) -> NoReturn:
        """Refused: channels have no tenant."""
        raise Unsupported("pubsub()", "a tenant's cache", _CHANNELS)

    def keyspace_notifications(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: they tell of all tenants' keys."""
        raise Unsupported("keyspace_notifications()", "a tenant's cache", _CHANNELS)

    def monitor(self) -> NoReturn:
        """Refused: it shows the commands of all tenants."""
        raise Unsupported("monitor()", "a tenant's cache", "It shows the commands of all tenants")


class AsyncTenantPipeline(AsyncPipeline):
    """A pipeline of one tenant."""

    def __init__(self, cache: AsyncTenantCache, keys: KeySpace, transaction: bool, shard_hint: Any) -> None:
        super().__init__(cache.connection_pool, cache.response_callbacks, transaction, shard_hint)
        self._staged = _Staged(keys)

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """What runs at once, between WATCH and MULTI."""
        rewritten, options, reply = self._staged.rewrite(args, options)
        return reply.own(await super().immediate_execute_command(*rewritten, **options))

    def pipeline_execute_command(self, *args: Any, **options: Any) -> AsyncPipeline:
        """What waits for ``execute``."""
        rewritten, options, reply = self._staged.rewrite(args, options)
        self._staged.replies.append(reply)
        super().pipeline_execute_command(*rewritten, **options)
        return self

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Run what was staged. Raises ``TenantMismatch`` under another tenant."""
        replies = self._staged.take()
        return _own(replies, await super().execute(raise_on_error))

    async def reset(self) -> Any:
        """Forget what was staged."""
        self._staged.clear()
        await super().reset()


class _Staged:
    """Whose pipeline it is, and how the answers to what is staged are turned back."""

    def __init__(self, keys: KeySpace) -> None:
        self._keys = keys
        self._tenant: str | None = None
        self.replies: list[Reply] = []

    def rewrite(self, arguments: Any, options: dict[str, Any]) -> tuple[list[Any], dict[str, Any], Reply]:
        tenant = current_tenant()
        require_same_pipeline_tenant(self._tenant or tenant, tenant)
        self._tenant = tenant
        return self._keys.rewrite(tenant, arguments, options)

    def take(self) -> list[Reply]:
        tenant = current_tenant()
        require_same_pipeline_tenant(self._tenant or tenant, tenant)
        return self.replies

    def clear(self) -> None:
        self._tenant = None
        self.replies = []


def _own(replies: list[Reply], answers: list[Any]) -> list[Any]:
    return [reply.own(answer) for reply, answer in zip(replies, answers, strict=True)]
