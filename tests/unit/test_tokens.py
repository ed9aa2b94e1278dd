"""Tokens: who may sign and read them, what they say, and until when they verify."""

from __future__ import annotations

import base64

import msgspec
import pytest

from contracts.errors import ConfigurationError
from contracts.speech import Speaker
from contracts.tokens import (
    AttemptToken,
    Keys,
    ReplicaToken,
    Token,
    attempt_expiry,
    derive_keys,
    expired,
    hkdf,
    read_token,
    replica_expiry,
    signer,
)

OLD, NEW = b"o" * 32, b"n" * 32
KEYS = derive_keys([NEW])
ATTEMPT = AttemptToken("default", "orders", "m-1", 2, 3, 1 << 40, 1_700_000_600)
REPLICA = ReplicaToken("default", "orders", "orders-1", 1_700_003_600)


def signed(token: Token, keys: Keys = KEYS) -> str:
    return signer(keys)(token)


@pytest.mark.parametrize("token", [ATTEMPT, REPLICA])
def test_a_token_says_what_was_signed(token: Token) -> None:
    assert token == read_token(KEYS, signed(token))


def test_an_attempts_token_names_its_speaker() -> None:
    assert Speaker("m-1", 2, 3, 1 << 40) == ATTEMPT.speaker


def test_a_token_can_be_a_header_and_a_part_of_a_url() -> None:
    assert set() == {character for character in signed(ATTEMPT) if not (character.isalnum() or character in "-_")}


def test_one_of_another_installation_is_none() -> None:
    assert None is read_token(derive_keys([OLD]), signed(ATTEMPT))


def test_the_first_secret_signs_and_all_verify() -> None:
    both = derive_keys([NEW, OLD])
    assert [ATTEMPT, ATTEMPT] == [read_token(both, signed(ATTEMPT, derive_keys([one]))) for one in (NEW, OLD)]
    assert signed(ATTEMPT) == signed(ATTEMPT, both)


def test_ids_stay_with_the_last_secret() -> None:
    assert derive_keys([OLD]).ids == derive_keys([NEW, OLD]).ids
    assert derive_keys([OLD]).ids != derive_keys([OLD, NEW]).ids


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = derive_keys([OLD, NEW])
    assert 4 == len({*keys.tokens, keys.ids, OLD})


@pytest.mark.parametrize("secrets", [[], [b"short"], [NEW, b""]])
def test_what_is_not_secret_enough_is_refused(secrets: list[bytes]) -> None:
    with pytest.raises(ConfigurationError, match="at least 32 bytes"):
        derive_keys(secrets)


def test_keys_do_not_show_themselves() -> None:
    assert "Keys(2 for tokens)" == repr(derive_keys([NEW, OLD]))


def test_keys_are_derived_as_the_standard_says() -> None:
    """RFC 5869, appendix A.3: no salt, no info, and two blocks of output."""
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert expected == hkdf(b"\x0b" * 22, b"", 42).hex()


def test_the_form_never_changes() -> None:
    """A token outlives a restart, so whoever comes after must read it."""
    expected = "NagQKZrJ_oUKq6aChY2b3AGYAadkZWZhdWx0pm9yZGVyc6NtLTECA88AAAEAAAAAAM5lU_NY"
    assert expected == signed(ATTEMPT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "é",
        "not a token",
        "=" * 40,
        base64.urlsafe_b64encode(bytes(60)).decode(),
        base64.urlsafe_b64encode(bytes(16) + b"\x01").decode(),
        "A" * 5000,
    ],
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert None is read_token(KEYS, text)


@pytest.mark.parametrize("change", [lambda text: text + "=", lambda text: text + "A", lambda text: text[:-1]])
def test_the_same_bytes_written_otherwise_are_no_token(change: object) -> None:
    assert callable(change)
    assert None is read_token(KEYS, change(signed(ATTEMPT)))


def test_authentic_bytes_that_say_something_else_are_no_token() -> None:
    class Other(msgspec.Struct, array_like=True, tag=3):
        namespace: str

    assert None is read_token(KEYS, signer(KEYS)(Other("default")))  # type: ignore[arg-type]


def test_it_verifies_until_its_time_and_not_at_it() -> None:
    assert [False, True] == [expired(ATTEMPT, now) for now in (1_700_000_599.9, 1_700_000_600.0)]


def test_an_attempts_token_outlives_its_last_possible_end_by_ten_minutes() -> None:
    """It may be accepted at its deadline, and then be silent for as long as is allowed."""
    assert 1_700_000_060 + 30 + 600 == attempt_expiry(1_700_000_060.0, 30)
    assert 1_700_000_060 + 31 + 600 == attempt_expiry(1_700_000_060.0, 30.5), "never less"


def test_the_token_of_init_verifies_for_an_hour() -> None:
    assert 1_700_000_000 + 3600 == replica_expiry(1_700_000_000.0)
