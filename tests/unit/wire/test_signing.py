"""Signed tokens: what is genuine is opened, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgk_jobs.wire.signing import LONGEST_TOKEN, SHORTEST_KEY, Signer, TokenExpired, TokenInvalid

NEW, OLD, OTHER = (letter * SHORTEST_KEY for letter in (b"n", b"o", b"x"))
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def test_a_token_says_what_was_signed() -> None:
    token = Signer([NEW]).sign("approval", b'{"a":1}', expires_at=100)
    assert set(token) <= {*LETTERS, "."}
    assert Signer([NEW]).open("approval", token, now=99) == (b'{"a":1}', 100)


def test_it_is_an_hmac_sha256_over_purpose_and_body() -> None:
    body, mac = Signer([NEW]).sign("approval", b"claims", 100).split(".")
    assert base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)) == (100).to_bytes(8, "big") + b"claims"
    expected = hmac.new(NEW, b"approval\0" + body.encode(), hashlib.sha256).digest()
    assert base64.urlsafe_b64decode(mac + "=") == expected


def test_its_time_ends_on_the_second() -> None:
    signer = Signer([NEW])
    with pytest.raises(TokenExpired):
        signer.open("approval", signer.sign("approval", b"", 100), now=100)


def test_a_token_is_worth_nothing_for_another_purpose_or_key() -> None:
    token = Signer([NEW]).sign("approval", b"claims", 100)
    for signer, purpose in ((Signer([NEW]), "hook"), (Signer([OTHER]), "approval"), (Signer([OTHER, OLD]), "approval")):
        with pytest.raises(TokenInvalid) as refusal:
            signer.open(purpose, token, 0)
        assert not isinstance(refusal.value, TokenExpired)
        assert token not in str(refusal.value)


def test_keys_are_exchanged_without_breaking_what_is_out() -> None:
    before, between, after = Signer([OLD]), Signer([NEW, OLD]), Signer([NEW])
    old, new = before.sign("approval", b"old", 100), between.sign("approval", b"new", 100)
    assert between.open("approval", old, 0).claims == b"old"
    assert between.open("approval", new, 0).claims == after.open("approval", new, 0).claims == b"new"
    with pytest.raises(TokenInvalid):
        after.open("approval", old, 0)


@given(st.binary(max_size=40), st.data())
def test_no_other_text_is_taken_for_the_token(claims: bytes, data: st.DataObject) -> None:
    signer = Signer([NEW])
    token = signer.sign("approval", claims, 100)
    place = data.draw(st.integers(0, len(token)))
    letter = data.draw(st.sampled_from(f"{LETTERS}.=+/ \n\0é"))
    changed = data.draw(st.sampled_from([token[:place], token[:place] + letter + token[place:], token[:place] + letter + token[place + 1 :]]))  # fmt: skip
    if changed != token:
        with pytest.raises(TokenInvalid):
            signer.open("approval", changed, 0)


@pytest.mark.parametrize("token", ["", ".", "a", "a.b", "é.é", "x" * (LONGEST_TOKEN + 1)])
def test_what_is_no_token_at_all_is_refused(token: str) -> None:
    with pytest.raises(TokenInvalid):
        Signer([NEW]).open("approval", token, 0)


def test_claims_that_fit_no_address_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 4,096"):
        Signer([NEW]).sign("approval", b"x" * 3_100, 100)


@pytest.mark.parametrize("keys", [[], [NEW, OLD, OTHER], [b"x" * 31], [NEW, b""]])
def test_keys_that_are_too_many_or_too_short_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="signing key"):
        Signer(keys)
    assert "nnn" not in repr(Signer([NEW]))
