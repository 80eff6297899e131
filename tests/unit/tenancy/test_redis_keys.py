"""Where keys are in Redis commands, for what a server isn't asked in the integration tests."""

from __future__ import annotations

from typing import Any

import pytest

from cgk_jobs import Unsupported
from cgk_jobs.tenancy.guards.redis_keys import command_of, key_positions
from cgk_jobs.tenancy.guards.tenant_keys import KeySpace, Reply


@pytest.mark.parametrize(
    ("call", "positions"),
    [
        (("GET", "a"), [1]),
        (("get", "a"), [1]),
        ((b"GET", b"a"), [1]),
        (("OBJECT", "ENCODING", "a"), [2]),
        (("OBJECT ENCODING", "a"), [1]),
        (("XGROUP CREATE", "a", "g", "$"), [1]),
        (("MSET", "a", 1, "b", 2), [1, 3]),
        (("BITOP", "AND", "to", "a", "b"), [2, 3, 4]),
        (("BLPOP", "a", "b", 0), [1, 2]),
        (("ZUNIONSTORE", "to", 2, "a", "b", "WEIGHTS", 1, 2), [1, 3, 4]),
        (("XREAD", "COUNT", 1, "STREAMS", "a", "b", "0", "0"), [4, 5]),
        (("XREADGROUP", "GROUP", "STREAMS", "me", "STREAMS", "a", ">"), [5]),
        (("SORT", "a", "BY", "w_*", "GET", "#", "GET", "n_*->f", "STORE", "to"), [1, 3, 7, 9]),
        (("SORT", "a", "BY", "nosort"), [1]),
        (("GEORADIUS", "a", 1, 2, 3, "km", "COUNT", 2, "STOREDIST", "to"), [1, 9]),
        (("MSETEX", 2, "a", 1, "b", 2, "EX", 10), [2, 4]),
        (("DELEX", "a", "IFEQ", "x"), [1]),
        (("PING",), []),
        (("SCRIPT", "LOAD", "return 1"), []),
    ],
)
def test_positions(call: tuple[Any, ...], positions: list[int]) -> None:
    assert sorted(key_positions(call)) == positions


@pytest.mark.parametrize(
    "call",
    [
        ("GET",), ("EVAL", "return 1", 0), ("EVAL", "return 1", -1, "a"), ("EVAL", "return 1", 2, "a"), ("EVAL", "s", "x"),
        ("LMPOP", 0, "LEFT"), ("XREAD", "NEWOPTION", "STREAMS", "a", "0"), ("XREAD", "STREAMS"), ("KEYS", "*"), ("FLUSHALL",),
        ("MEMORY", "STATS"), ("CONFIG", "GET", "*"), ("UNHEARD-OF", "a"), ("SORT", "a", "STORE"), ("SCRIPT", "FLUSH"), ("",),
    ],
)  # fmt: skip
def test_what_has_no_known_keys_is_refused(call: tuple[Any, ...]) -> None:
    with pytest.raises(Unsupported):
        key_positions(call)


def test_commands_have_one_word_or_two() -> None:
    assert command_of(("xinfo", b"stream", "a")) == ("XINFO STREAM", 2)
    assert command_of(("XINFO STREAM", "a")) == ("XINFO STREAM", 1)


def test_rewriting() -> None:
    keys = KeySpace()
    command, options, _ = keys.rewrite("acme", ("GET", "a"), {"keys": ["a"], "other": 1})
    # redis-py files answers in its own cache under these names: two tenants must not share one.
    assert (command, options) == (["GET", "tenant:acme:a"], {"keys": ["tenant:acme:a"], "other": 1})
    assert keys.rewrite("acme", ("GET", memoryview(b"a")), {})[0] == ["GET", b"tenant:acme:a"]
    assert keys.rewrite("acme", ("GET", 1.5), {})[0] == ["GET", "tenant:acme:1.5"]
    for key in (True, None, ["a"], ("a",)):
        with pytest.raises(Unsupported, match="key of type"):
            keys.rewrite("acme", ("GET", key), {})
    assert keys.rewrite("acme", ("SCAN", 0), {})[0] == ["SCAN", 0, "MATCH", "tenant:acme:*"]
    assert keys.rewrite("acme", ("SCAN", 0, b"MATCH", b"a*", b"COUNT", 5), {})[0] == [
        *("SCAN", 0, b"MATCH", b"tenant:acme:a*", b"COUNT", 5)
    ]
    assert keys.rewrite("acme", ("SCAN", 0, "COUNT", 5), {})[0] == ["SCAN", 0, "MATCH", "tenant:acme:*", "COUNT", 5]
    assert keys.rewrite("acme", ("SCAN", 0, "match", "a", b"MATCH", "*"), {})[0] == [
        *("SCAN", 0, "match", "tenant:acme:a", b"MATCH", "tenant:acme:*")
    ]


def test_an_answer_that_names_anothers_key_does_not_get_through() -> None:
    answer = (0, ["tenant:acme:a", "tenant:acme-2:b", "c"])
    assert Reply("SCAN", "tenant:acme:").own(answer) == (0, ["a"])
    assert Reply("SCAN", "tenant:acme:").own((5, [b"tenant:acme:a", b"tenant:other:a"])) == (5, [b"a"])
