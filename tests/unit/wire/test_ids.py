"""Ids: random parts are never drawn twice, in forked processes neither."""

from __future__ import annotations

import os
import warnings

import pytest

from cgk_jobs.wire.ids import NONCE_BITS, Nonces, parse_id, to_id


def test_a_forked_process_draws_other_bits_than_its_parent() -> None:
    nonces = Nonces()
    nonces.draw()  # both have the rest of one pool
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads: the child calls nothing that waits for one
        child = os.fork()
    if child == 0:
        os.write(writing, b"".join(nonces.draw().to_bytes(8) for _ in range(10)))
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    theirs = {int.from_bytes(told[at : at + 8]) for at in range(0, 80, 8)}
    assert len(theirs) == 10
    assert theirs.isdisjoint(nonces.draw() for _ in range(512))


def test_bits_are_not_drawn_twice() -> None:
    nonces = Nonces()
    drawn = [nonces.draw() for _ in range(2_000)]
    assert len(set(drawn)) == 2_000
    assert all(0 <= bits < 1 << NONCE_BITS for bits in drawn)


@pytest.mark.parametrize("seq", [0, 1, 7, 8, (1 << 63) - 1])
def test_an_id_leads_back_to_its_row(seq: int) -> None:
    nonce = Nonces().draw()
    assert parse_id(to_id(seq, nonce)) == (seq, nonce)
