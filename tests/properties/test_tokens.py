"""Tokens survive, and nothing that is not signed is one, however close it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contracts.tokens import AttemptToken, ReplicaToken, Token, attempt_expiry, derive_keys, expired, read_token, signer

KEYS = derive_keys([b"k" * 32])
SIGN = signer(KEYS)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
times = st.integers(0, 1 << 40)
tokens: st.SearchStrategy[Token] = st.one_of(
    st.builds(
        AttemptToken,
        namespace=text,
        queue=text,
        id=text,
        generation=st.integers(1, 1 << 31),
        attempt=st.integers(1, 1 << 31),
        epoch=st.integers(0, (1 << 63) - 1),
        expires_at=times,
    ),
    st.builds(ReplicaToken, namespace=text, queue=text, replica=text, expires_at=times),
)


@given(tokens)
def test_every_token_survives(token: Token) -> None:
    written = SIGN(token)
    assert written.isascii()
    assert set(written) <= set(ALPHABET)
    assert token == read_token(KEYS, written)


@given(tokens, st.integers(0), st.sampled_from(ALPHABET))
def test_one_other_character_makes_it_none(token: Token, place: int, character: str) -> None:
    written = SIGN(token)
    at = place % len(written)
    forged = written[:at] + character + written[at + 1 :]
    assert (token if forged == written else None) == read_token(KEYS, forged)


@given(tokens, tokens)
def test_different_tokens_are_written_differently(one: Token, other: Token) -> None:
    assert (one == other) == (SIGN(one) == SIGN(other))


@given(st.text(max_size=300))
def test_whatever_comes_is_read_without_harm(given: str) -> None:
    assert None is read_token(KEYS, given)


@given(st.binary(min_size=32, max_size=64), tokens)
def test_no_other_secret_reads_it(secret: bytes, token: Token) -> None:
    keys = derive_keys([secret])
    assert (token if keys == KEYS else None) == read_token(keys, SIGN(token))


@given(st.floats(0, 4e9), st.floats(0.001, 31_536_000), st.floats(0, 600, exclude_max=True))
def test_a_token_holds_for_ten_minutes_after_the_last_possible_end(deadline: float, heart: float, late: float) -> None:
    token = AttemptToken("n", "q", "m", 1, 1, 1, attempt_expiry(deadline, heart))
    assert not expired(token, deadline + heart + late)
    assert expired(token, deadline + heart + 602)
