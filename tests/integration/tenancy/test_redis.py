"""Redis clients for the current tenant, on a real server that would refuse every other key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoPermissionError, RedisError

from cgk_jobs import NotConfigured, TenantMismatch, TenantRequired, Unsupported, across_tenants, tenant
from cgk_jobs.tenancy import AsyncTenantCache, TenantCache, tenant_key
from cgk_jobs.tenancy.guards.redis_keys import KEYLESS, command_of, key_positions

FIRST, SECOND = "acme", "other-1"


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def plain(request: pytest.FixtureRequest, redis_url: str) -> Iterator[redis.Redis]:
    """A client without guard."""
    with redis.Redis.from_url(redis_url, decode_responses=True, protocol=request.param) as client:
        client.flushall()
        yield client
        client.flushall()


@pytest.fixture
def cache(plain: Any) -> TenantCache:
    return TenantCache(plain)


@pytest.fixture
async def async_cache(plain: Any, redis_url: str) -> AsyncIterator[AsyncTenantCache]:
    cache = AsyncTenantCache.from_url(redis_url, decode_responses=True)
    yield cache
    await cache.aclose()


def test_tenants_do_not_meet(cache: Any, plain: Any) -> None:
    for name in (FIRST, SECOND):
        with tenant(name):
            assert cache.get("greeting") is None
            cache.set("greeting", f"hello {name}")
            cache.mset({"a": 1, b"b": 2, 7: 3})
    with tenant(FIRST):
        assert cache.get("greeting") == "hello acme"
        assert cache.mget("a", "b", "7") == ["1", "2", "3"]
        assert cache.delete("greeting", "a") == 2
    with tenant(SECOND):
        assert cache.exists("greeting", "a") == 2
    assert sorted(plain.keys()) == sorted(
        [f"tenant:acme:{key}" for key in ("b", "7")] + [f"tenant:other-1:{key}" for key in ("greeting", "a", "b", "7")]
    )
    with tenant(FIRST):
        assert tenant_key("b") == "tenant:acme:b"
        assert plain.get(tenant_key("b")) == "2"


def test_without_a_tenant_nothing_is_sent(cache: Any) -> None:
    for act in (cache.ping, lambda: cache.get("a"), lambda: cache.set("a", 1), lambda: tenant_key("a")):
        with pytest.raises(TenantRequired):
            act()
    with across_tenants(reason="a test"), pytest.raises(TenantRequired):
        cache.get("a")


def test_a_key_that_names_another_tenants_is_ones_own(cache: Any) -> None:
    with tenant(SECOND):
        cache.set("secret", "x")
    with tenant(FIRST):
        for key in ("tenant:other-1:secret", "../other-1:secret", "*", ":other-1:secret"):
            assert cache.get(key) is None


def test_scan_finds_ones_own_and_says_its_names(cache: Any, plain: Any) -> None:
    for name in (FIRST, "acme-2", SECOND):
        with tenant(name):
            cache.mset({f"n{number}": number for number in range(30)})
            cache.hset("h", "f", "v")
    with tenant(FIRST):
        assert sorted(cache.scan_iter()) == sorted(["h", *(f"n{number}" for number in range(30))])
        assert sorted(cache.scan_iter(match="n1?", count=7)) == sorted(f"n1{number}" for number in range(10))
        assert list(cache.scan_iter(_type="hash")) == ["h"]
        assert list(cache.scan_iter(match="[*")) == []
        assert list(cache.sscan_iter("nothing")) == []
        assert list(cache.hscan_iter("h")) == [("f", "v")]
        assert cache.clear("n2*") == 11
        assert cache.clear() == 20
        assert list(cache.scan_iter()) == []
    assert plain.dbsize() == 62


def test_answers_that_name_keys_name_the_tenants_own(cache: Any) -> None:
    with tenant(FIRST):
        cache.rpush("list", "1", "2", "3", "4")
        cache.zadd("set", {"a": 1, "b": 2, "c": 3, "d": 4})
        cache.xadd("stream", {"f": "v"}, id="1-1")
        cache.xgroup_create("stream", "STREAMS", id="0")
        assert list(cache.blpop(["none", "list"], 1) or ()) == ["list", "1"]
        assert list(cache.brpop("list", 1) or ()) == ["list", "4"]
        assert cache.lmpop(1, "list", direction="LEFT") == ["list", ["2"]]
        assert cache.blmpop(1, 2, "none", "list", direction="LEFT") == ["list", ["3"]]
        assert list(cache.bzpopmin("set", 1) or ())[:1] == ["set"]
        assert list(cache.bzpopmax("set", 1) or ())[:1] == ["set"]
        assert cache.zmpop(2, ["none", "set"], min=True)[0] == "set"
        assert cache.bzmpop(1, 1, ["set"], max=True)[0] == "set"
        entry = [("1-1", {"f": "v"})]
        read = cache.xread({"stream": "0"})
        assert dict(read) == {"stream": [entry] if isinstance(read, dict) else entry}
        read = cache.xreadgroup("STREAMS", "me", {"stream": ">"}, count=1)
        assert dict(read) == {"stream": [entry] if isinstance(read, dict) else entry}
        assert cache.blpop("none", 0.01) is None


def test_pipelines(cache: Any) -> None:
    with tenant(FIRST):
        with cache.pipeline() as pipe:
            pipe.set("a", 1).incr("a").get("a")
            pipe.scan(0, match="a")
            assert pipe.execute() == [True, 2, "2", (0, ["a"])]
            pipe.watch("a")
            assert pipe.get("a") == "2"
            pipe.multi()
            pipe.set("a", 3)
            pipe.xadd("stream", {"f": "v"}, id="1-1")
            pipe.xread({"stream": "0"})
            assert dict(pipe.execute()[2]).keys() == {"stream"}
            pipe.set("a", 4)
            with tenant_of_another(), pytest.raises(TenantMismatch, match="pipeline"):
                pipe.set("b", 1)
            with tenant_of_another(), pytest.raises(TenantMismatch, match="pipeline"):
                pipe.execute()
        with cache.pipeline() as pipe:
            pipe.set("b", 1).lpush("b", 1).get("b")
            answers = pipe.execute(raise_on_error=False)
            assert isinstance(answers[1], redis.ResponseError)
            assert answers[2] == "1"
            with tenant_of_another():
                assert pipe.get("b").execute() == [None]
        assert cache.transaction(increase, "a") == [4]


def increase(pipe: Any) -> None:
    pipe.multi()
    pipe.incr("a")


def tenant_of_another() -> Any:
    from contextlib import ExitStack

    stack = ExitStack()
    stack.enter_context(across_tenants(reason="a test"))
    stack.enter_context(tenant(SECOND))
    return stack


def test_scripts_and_locks(cache: Any, plain: Any) -> None:
    with tenant(FIRST):
        script = cache.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
        assert script(keys=["n"], args=[5]) == 5
        assert cache.eval("return KEYS[1]", 1, "n") == "tenant:acme:n"
        with pytest.raises(Unsupported, match="EVAL without keys"):
            cache.eval("return redis.call('KEYS', '*')", 0)
        with cache.pipeline() as pipe:
            script(keys=["n"], args=[2], client=pipe)
            assert pipe.execute() == [7]
        with cache.lock("lock", timeout=5) as lock:
            assert lock.extend(5)
            assert plain.exists("tenant:acme:lock") == 1
            with tenant_of_another():
                assert cache.lock("lock", timeout=5).acquire(blocking=False)
    with tenant(SECOND):
        assert cache.get("n") is None


def test_sort_follows_patterns_inside_the_tenant(cache: Any, plain: Any) -> None:
    plain.mset({"weight_1": 1, "weight_2": 2, "name_1": "theirs", "name_2": "theirs"})
    with tenant(FIRST):
        cache.rpush("ids", 1, 2)
        cache.mset({"weight_1": 2, "weight_2": 1, "name_1": "one", "name_2": "two"})
        assert cache.sort("ids", by="weight_*", get=["#", "name_*"]) == ["2", "two", "1", "one"]
        assert cache.sort("ids", by="nosort", store="sorted") == 2
        assert cache.lrange("sorted", 0, -1) == ["1", "2"]


REFUSED: list[Any] = [
    lambda cache: cache.keys(),
    lambda cache: cache.dbsize(),
    lambda cache: cache.randomkey(),
    lambda cache: cache.flushdb(),
    lambda cache: cache.flushall(),
    lambda cache: cache.info(),
    lambda cache: cache.publish("channel", "x"),
    lambda cache: cache.pubsub(),
    lambda cache: cache.monitor(),
    lambda cache: cache.client(),
    lambda cache: cache.keyspace_notifications(),
    lambda cache: cache.select(1),
    lambda cache: cache.swapdb(0, 1),
    lambda cache: cache.config_get("*"),
    lambda cache: cache.client_list(),
    lambda cache: cache.acl_list(),
    lambda cache: cache.migrate("h", 1, "k", 0, 1),
    lambda cache: cache.json().get("k"),
    lambda cache: cache.ft("i").info(),
    lambda cache: cache.evalsha("0" * 40, 0),
    lambda cache: cache.fcall("f", 0),
    lambda cache: cache.script_flush(),
    lambda cache: cache.execute_command("GET"),
    lambda cache: cache.execute_command("EVAL", "return 1", "many", "k"),
    lambda cache: cache.execute_command("EVAL", "return 1", 9, "k"),
    lambda cache: cache.execute_command("XREAD", "COUNT", 1, "k"),
    lambda cache: cache.execute_command("XREAD", "STREAMS", "a", "b", "0"),
    lambda cache: cache.execute_command("OBJECT", "FREQUENCY", "k"),
    lambda cache: cache.execute_command("NEWCOMMAND", "k"),
    lambda cache: cache.get(["k"]),
    lambda cache: cache.get(None),
]


@pytest.mark.parametrize("act", REFUSED)
def test_what_can_not_be_kept_to_a_tenant_is_refused(cache: Any, act: Any) -> None:
    with tenant(FIRST), pytest.raises(Unsupported) as refusal:
        act(cache)
    assert refusal.value.hint


# --- every command of the server -----------------------------------------------------------------------------------

K = "k"
MOVABLE = [
    "LMPOP 2 k k LEFT", "BLMPOP 0.01 2 k k LEFT COUNT 3", "ZMPOP 1 k MIN", "BZMPOP 0.01 2 k k MAX", "SINTERCARD 2 k k LIMIT 1",
    "ZDIFF 2 k k", "ZINTER 2 k k WEIGHTS 1 2", "ZINTERCARD 2 k k", "ZUNION 2 k k WITHSCORES", "ZDIFFSTORE k 2 k k",
    "ZINTERSTORE k 1 k", "ZUNIONSTORE k 2 k k AGGREGATE MAX", "EVAL return 1 k x", "EVAL_RO return 2 k k x", "EVALSHA aa 1 k x",
    "EVALSHA_RO aa 1 k", "FCALL f 1 k x", "FCALL_RO f 2 k k", "XREAD COUNT 2 BLOCK 1 STREAMS k k 0 0",
    "XREADGROUP GROUP STREAMS STREAMS COUNT 1 NOACK STREAMS k >", "XREADGROUP GROUP g c BLOCK 1 STREAMS k k > >",
    "SORT k", "SORT k LIMIT 0 5 GET # ASC ALPHA STORE k", "SORT k BY nosort STORE k", "SORT_RO k LIMIT 0 1",
    "GEORADIUS k 1 2 3 km", "GEORADIUS k 1 2 3 km COUNT 3 STORE k", "GEORADIUS k 1 2 3 km STOREDIST k",
    "GEORADIUSBYMEMBER k m 3 km", "GEORADIUSBYMEMBER k m 3 km STORE k", "MSETEX 2 k v k v EX 10", "BITOP AND k k k",
]  # fmt: skip
"""Commands whose keys have no fixed place."""


def samples(client: Any) -> list[list[str]]:
    """A call of every command that has keys: every argument that could be one is the letter k."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_command("COMMAND")
        described = connection.read_response()
    finally:
        client.connection_pool.release(connection)
    calls = []

    def describe(entry: Any) -> None:
        name, arity, flags, first, last, step = entry[:6]
        for inner in entry[9] if len(entry) > 9 else ():
            describe(inner)
        if first > 0 and "movablekeys" not in {str(flag).lower() for flag in flags}:
            words = name.upper().split("|")
            length = abs(arity) + (2 * step if arity < 0 and last < 0 else 0)
            calls.append([*words, *[K] * (length - len(words))])

    for entry in described:
        describe(entry)
    known = {call[0] for call in calls} | {str(entry[0]).upper() for entry in described}
    calls += [line.split() for line in MOVABLE if line.split()[0] in known]
    return calls


LEFT_OUT = {
    *("MIGRATE", "RESTORE-ASKING", "MOVE", "PFDEBUG", "SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE", "CLUSTERSCAN"),
    *("XGROUP HELP", "XINFO HELP"),
}
"""Commands with keys that a tenant has no business with: they leave the database, or are the cluster's own."""


def test_the_table_of_keys_is_the_servers(plain: Any) -> None:
    """Each command's keys, as the server itself finds them."""
    calls = samples(plain)
    assert len(calls) > 190
    unknown = []
    for call in calls:
        if command_of(call)[0] in LEFT_OUT:
            with pytest.raises(Unsupported):
                key_positions(call)
            continue
        try:
            positions = key_positions(call)
        except Unsupported:
            unknown.append(" ".join(call))
            continue
        marked = [f"key{index}" if index in positions else word for index, word in enumerate(call)]
        try:
            found = plain.execute_command("COMMAND GETKEYS", *marked)
        except redis.ResponseError as error:
            raise AssertionError(f"{marked}: {error}") from error
        assert sorted(found) == sorted(marked[index] for index in positions), call
    assert unknown == []


def test_the_server_is_never_asked_for_another_key(plain: Any, redis_url: str) -> None:
    """Every command, on a login that the server holds to the tenant's keys: it never has to."""
    plain.execute_command("ACL SETUSER", "acme", "reset", "on", ">secret", "+@all", "~tenant:acme:*")
    try:
        client: Any = redis.Redis.from_url(redis_url, username="acme", password="secret", decode_responses=True)
        with pytest.raises(NoPermissionError):
            client.get("k")
        with client, tenant(FIRST):
            cache: Any = TenantCache(client)
            tried = 0
            for call in samples(plain):
                if command_of(call)[0] in LEFT_OUT or call[0].startswith("B"):
                    continue
                try:
                    cache.execute_command(*call)
                except NoPermissionError as error:
                    raise AssertionError(f"{call}: {error}") from error
                except (RedisError, ValueError, TypeError, IndexError):
                    pass  # most are nonsense to the server: what matters is whose keys they name
                tried += 1
            assert tried > 180
    finally:
        plain.execute_command("ACL DELUSER", "acme")


def test_commands_without_keys_say_nothing_of_others(cache: Any) -> None:
    with tenant(FIRST):
        assert cache.ping()
        assert cache.echo("x") == "x"
        assert len(cache.time()) == 2
        assert cache.script_exists("0" * 40) == [False]
    assert not any(command in KEYLESS for command in ("KEYS", "SCAN", "INFO", "DBSIZE", "CLIENT", "CONFIG", "PUBLISH"))


# --- asyncio -------------------------------------------------------------------------------------------------------


async def test_asyncio(async_cache: Any, plain: Any) -> None:
    cache = async_cache

    async def one(name: str) -> list[Any]:
        with tenant(name):
            await cache.set("greeting", name)
            await asyncio.sleep(0)
            found = [await cache.get("greeting")]
            async with cache.pipeline() as pipe:
                found += await pipe.incr("n").get("greeting").execute()
                await pipe.watch("n")
                found.append(await pipe.get("n"))
                pipe.multi()
                pipe.scan(0, match="gree*")
                found += await pipe.execute()
            found.append(sorted([key async for key in cache.scan_iter()]))
            await cache.rpush("list", 1)
            found.append(list(await cache.blpop("list", 1) or ()))
            async with cache.lock("lock", timeout=5):
                found.append(await cache.exists("lock"))
            return found

    names = [f"tenant-{number}" for number in range(40)]
    for name, found in zip(names, await asyncio.gather(*map(one, names)), strict=True):
        assert found[:4] == [name, 1, name, "1"]
        assert found[4][1] in ([], ["greeting"])  # a scan's first page of many
        assert found[5:] == [["greeting", "n"], ["list", "1"], 1]
    with tenant("tenant-3"):
        assert await cache.clear() == 2
    with pytest.raises(TenantRequired):
        await cache.get("greeting")
    for act in (cache.pubsub, cache.monitor, cache.client, cache.keyspace_notifications):
        with pytest.raises(Unsupported):
            act()
    with tenant(FIRST), pytest.raises(Unsupported):
        await cache.keys()
    with tenant(FIRST):
        async with cache.pipeline() as pipe:
            pipe.set("a", 1)
            with tenant_of_another(), pytest.raises(TenantMismatch):
                await pipe.execute()


# --- making one ----------------------------------------------------------------------------------------------------


def test_making_one(plain: Any, redis_url: str) -> None:
    for wrong in (object(), TenantCache(plain), AsyncRedis()):
        with pytest.raises(NotConfigured, match=r"redis\.Redis"):
            TenantCache(wrong)  # type: ignore[arg-type]
    with pytest.raises(NotConfigured, match=r"redis\.asyncio\.Redis"):
        AsyncTenantCache(plain)
    for wrong in ("", "a:b", "a*", "a b"):
        with pytest.raises(NotConfigured, match="namespace"):
            TenantCache(plain, namespace=wrong)
    with TenantCache.from_url(redis_url, namespace="shop") as cache, tenant(FIRST):
        cache.set("a", 1)
        assert plain.keys() == ["shop:acme:a"]
