"""Tokens of senders, before anything is verified, and the key sets that they would be verified with."""

from __future__ import annotations

import asyncio
from typing import Final

from contracts.problems import ProblemError
from dispatcher.adapters.auth import JwtTokens
from dispatcher.adapters.jwks import parse_keys
from dispatcher.auth_settings import AuthSettings
from dispatcher.core.access import read_bearer
from tests.fuzz.target import Target, check_sentence, text_of

_SETTINGS: Final = AuthSettings("/nowhere")


def check_bearer(data: bytes) -> None:
    """Without keys nothing is believed; what is wrong is a 401 in one sentence."""
    try:
        asyncio.run(JwtTokens(_SETTINGS).rights(read_bearer([text_of(data)])))
    except ProblemError as error:
        assert 401 == error.problem.status
        check_sentence(error.detail)
        return
    raise AssertionError("a token was believed that nobody can have signed")


def check_jwks(data: bytes) -> None:
    try:
        keys = parse_keys(data)
    except ValueError as error:
        check_sentence(str(error))
        return
    assert all(key.algorithm in ("RS256", "ES256", "EdDSA") for key in keys)


TARGETS: Final = {
    "bearer": Target(
        check_bearer,
        (
            b"Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.e30.AAAA",
            b"bearer eyJhbGciOiJub25lIn0.e30.",
            b"Basic eDp5",
        ),
        (b"Bearer ", b".", b"eyJhbGciOiJFZERTQSJ9", b"e30"),
    ),
    "jwks": Target(
        check_jwks,
        (
            b'{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}',
            b'{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA","alg":"ES256","use":"sig","key_ops":["verify"]}]}',
            b'{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}',
        ),
        (b'"kty":"RSA"', b'"crv":"P-256"', b'"keys":', b"null", b"[]"),
    ),
}
