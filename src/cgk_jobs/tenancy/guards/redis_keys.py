"""Where the keys of a Redis command are. A command that is not listed here has no known keys, and is refused.

Made from the key specifications that a server answers to COMMAND (Redis 8, Valkey 9); a test compares them with those of the
server it runs. Only the positions live here; ``cache.py`` writes the tenant in front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cgk_jobs.errors import Unsupported

__all__ = ["KEYLESS", "command_of", "key_positions"]

Argument = Any

_CONTAINERS = {"MEMORY", "OBJECT", "SCRIPT", "XGROUP", "XINFO"}
"""Commands whose next word belongs to their name."""

KEYLESS = frozenset(
    ("PING", "ECHO", "TIME", "MULTI", "EXEC", "DISCARD", "UNWATCH", "WAIT", "WAITAOF", "SCRIPT EXISTS", "SCRIPT LOAD")
)
"""What neither reads nor writes anybody's keys, nor tells of them."""

_FIRST = """
    APPEND BITCOUNT BITFIELD BITFIELD_RO BITPOS DECR DECRBY DELIFEQ DELEX DIGEST DUMP EXPIRE EXPIREAT EXPIRETIME GEOADD GEODIST
    GEOHASH GEOPOS GEORADIUS_RO GEORADIUSBYMEMBER_RO GEOSEARCH GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HEXISTS HEXPIRE
    HEXPIREAT HEXPIRETIME HGET HGETALL HGETDEL HGETEX HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HPERSIST HPEXPIRE HPEXPIREAT
    HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSET HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY INCRBYFLOAT LINDEX LINSERT LLEN LPOP
    LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM PERSIST PEXPIRE PEXPIREAT PEXPIRETIME PFADD PSETEX PTTL RESTORE RPOP RPUSH RPUSHX
    SADD SCARD SET SETBIT SETEX SETNX SETRANGE SISMEMBER SMEMBERS SMISMEMBER SPOP SRANDMEMBER SREM SSCAN STRLEN SUBSTR TTL TYPE
    XACK XACKDEL XADD XAUTOCLAIM XCLAIM XDEL XDELEX XLEN XPENDING XRANGE XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZINCRBY
    ZLEXCOUNT ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREM ZREMRANGEBYLEX ZREMRANGEBYRANK
    ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE
"""
_FIRST_OF_TWO_WORDS = (
    "MEMORY USAGE", "OBJECT ENCODING", "OBJECT FREQ", "OBJECT IDLETIME", "OBJECT REFCOUNT", "XGROUP CREATE",
    "XGROUP CREATECONSUMER", "XGROUP DELCONSUMER", "XGROUP DESTROY", "XGROUP SETID", "XINFO CONSUMERS", "XINFO GROUPS",
    "XINFO STREAM",
)  # fmt: skip
_FIRST_TWO = "BLMOVE BRPOPLPUSH COPY GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH SMOVE ZRANGESTORE"
_ALL = """
    DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SUNION SUNIONSTORE TOUCH UNLINK WATCH
"""
_ALL_BUT_LAST = "BLPOP BRPOP BZPOPMAX BZPOPMIN"
_ALL_BUT_FIRST = "BITOP"
_EVERY_SECOND = "MSET MSETNX"
_COUNTED = "LMPOP SINTERCARD ZDIFF ZINTER ZINTERCARD ZMPOP ZUNION"
_COUNTED_AFTER_ONE = "BLMPOP BZMPOP"
_TARGET_AND_COUNTED = "ZDIFFSTORE ZINTERSTORE ZUNIONSTORE"
_SCRIPTS = "EVAL EVAL_RO EVALSHA EVALSHA_RO FCALL FCALL_RO"

_HINTS = {
    "KEYS": "It walks through the keys of all tenants; use scan_iter(match=…)",
    "DBSIZE": "It counts the keys of all tenants",
    "RANDOMKEY": "It draws from the keys of all tenants",
    "INFO": "It tells of the whole server; ask it on a client of your own",
    "FLUSHDB": "It deletes the keys of all tenants; use clear()",
    "FLUSHALL": "It deletes the keys of all tenants; use clear()",
    "SCAN": "Call it as scan(cursor, match, count) or scan_iter()",
    **dict.fromkeys(
        ("PUBLISH", "SPUBLISH", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "PUBSUB"),
        "Channels have no tenant; use a client of your own and name the channel by tenant_key(…)",
    ),
}
_HINT = (
    "Its keys are not known, so they can't be the tenant's; use a client of your own, and tenant_key(…) for each key"
)


def command_of(arguments: Sequence[Argument]) -> tuple[str, int]:
    """The command's name in capitals, of one or two words, and how many of the arguments it takes up."""
    words = _text(arguments[0]).upper().split()
    if len(words) == 1 and words[0] in _CONTAINERS and len(arguments) > 1:
        return f"{words[0]} {_text(arguments[1]).upper()}", 2
    return " ".join(words), 1


def key_positions(arguments: Sequence[Argument]) -> list[int]:
    """The indexes of keys, and of patterns that stand for keys, in a command with its arguments.

    Raises ``Unsupported`` for a command whose keys aren't known, or that has none and reaches beyond the tenant.
    """
    name, taken = command_of(arguments)
    if name in KEYLESS:
        return []
    find = _FINDERS.get(name)
    if find is None:
        raise Unsupported(name, "a tenant's cache", _HINTS.get(name, _HINT))
    try:
        found = [taken + index for index in find(arguments[taken:])]
    except (ValueError, IndexError):
        found = []
    if not found or max(found) >= len(arguments):
        raise Unsupported(f"{name} without keys", "a tenant's cache", "Name its keys as the command's syntax has them")
    return found


def _text(value: Argument) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _counted(arguments: Sequence[Argument], at: int, step: int = 1) -> list[int]:
    """Keys behind their number, which is at ``at``."""
    return [at + 1 + step * index for index in range(int(_text(arguments[at])))]


def _streams(arguments: Sequence[Argument]) -> list[int]:
    """XREAD and XREADGROUP: the first half of what follows STREAMS. A group may bear that name too, so options are parsed."""
    at = 0
    while (word := _text(arguments[at]).upper()) != "STREAMS":
        at += {"GROUP": 3, "COUNT": 2, "BLOCK": 2, "CLAIM": 2, "NOACK": 1}[word] if word in _STREAM_OPTIONS else 10**6
    rest = len(arguments) - at - 1
    if rest % 2:
        raise ValueError("streams and ids are not of one number")
    return list(range(at + 1, at + 1 + rest // 2))


_STREAM_OPTIONS = {"GROUP", "COUNT", "BLOCK", "CLAIM", "NOACK"}


def _sort(arguments: Sequence[Argument]) -> list[int]:
    """SORT: the key, the target of STORE, and the patterns of BY and GET that name other keys."""
    found, at = [0], 1
    while at < len(arguments):
        word = _text(arguments[at]).upper()
        if word == "STORE" or (word in ("BY", "GET") and "*" in _text(arguments[at + 1])):
            found.append(at + 1)
        at += {"STORE": 2, "BY": 2, "GET": 2, "LIMIT": 3}.get(word, 1)
    return found


def _georadius(options_at: int) -> Callable[[Sequence[Argument]], list[int]]:
    def find(arguments: Sequence[Argument]) -> list[int]:
        found, at = [0], options_at
        while at < len(arguments):
            word = _text(arguments[at]).upper()
            if word in ("STORE", "STOREDIST"):
                found.append(at + 1)
            at += 2 if word in ("STORE", "STOREDIST", "COUNT") else 1
        return found

    return find


def _script(arguments: Sequence[Argument]) -> list[int]:
    return _counted(arguments, 1)


_FINDERS: dict[str, Callable[[Sequence[Argument]], list[int]]] = {
    **dict.fromkeys((*_FIRST.split(), *_FIRST_OF_TWO_WORDS), lambda arguments: [0]),
    **dict.fromkeys(_FIRST_TWO.split(), lambda arguments: [0, 1]),
    **dict.fromkeys(_ALL.split(), lambda arguments: list(range(len(arguments)))),
    **dict.fromkeys(_ALL_BUT_LAST.split(), lambda arguments: list(range(len(arguments) - 1))),
    **dict.fromkeys(_ALL_BUT_FIRST.split(), lambda arguments: list(range(1, len(arguments)))),
    **dict.fromkeys(_EVERY_SECOND.split(), lambda arguments: list(range(0, len(arguments), 2))),
    **dict.fromkeys(_COUNTED.split(), lambda arguments: _counted(arguments, 0)),
    **dict.fromkeys(_COUNTED_AFTER_ONE.split(), lambda arguments: _counted(arguments, 1)),
    **dict.fromkeys(_TARGET_AND_COUNTED.split(), lambda arguments: [0, *_counted(arguments, 1)]),
    **dict.fromkeys(_SCRIPTS.split(), _script),
    **dict.fromkeys(("XREAD", "XREADGROUP"), _streams),
    **dict.fromkeys(("SORT", "SORT_RO"), _sort),
    "MSETEX": lambda arguments: _counted(arguments, 0, 2),
    "GEORADIUS": _georadius(5),
    "GEORADIUSBYMEMBER": _georadius(4),
}
