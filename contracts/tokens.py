"""Tokens of the callback API, and the keys that follow from an installation's secrets. Time is an argument.

A token is base64url without padding of a keyed BLAKE2b code and what the code is over: one byte of version, then
msgpack. It names the one who holds it and until when it verifies; nothing is kept of it anywhere.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from contracts.errors import ConfigurationError
from contracts.speech import Speaker

SECRET_BYTES: Final = 32
"""The least that an installation's secret has."""

GRACE_SECONDS: Final = 600
"""For so long after the last possible end of its attempt a token still verifies."""

REPLICA_TOKEN_SECONDS: Final = 3600
"""For so long the token of /init verifies."""

_VERSION: Final = b"\x01"
_CODE_BYTES: Final = 16
_LONGEST: Final = 4096
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_+/", b"+/!!")


class Keys(msgspec.Struct, frozen=True):
    """``tokens``: the first one signs, each verifies. ``ids`` names the messages that have a key of their sender's."""

    tokens: tuple[bytes, ...]
    ids: bytes

    def __repr__(self) -> str:
        return f"Keys({len(self.tokens)} for tokens)"  # they are secret, also in a traceback


class AttemptToken(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Speaks for one attempt. Times are whole Unix seconds."""

    namespace: str
    queue: str
    id: str
    generation: int
    attempt: int
    epoch: int
    expires_at: int

    @property
    def speaker(self) -> Speaker:
        return Speaker(self.id, self.generation, self.attempt, self.epoch)


class ReplicaToken(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Lets the handler of a replica enqueue, whatever it is at work on."""

    namespace: str
    queue: str
    replica: str
    expires_at: int


Token = AttemptToken | ReplicaToken

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Token] = msgspec.msgpack.Decoder(Token)


def hkdf(secret: bytes, label: bytes, length: int = 32) -> bytes:
    """A key for one purpose (RFC 5869 with SHA-256 and no salt)."""
    pseudorandom = hmac.digest(bytes(32), secret, "sha256")
    key = block = b""
    while len(key) < length:
        block = hmac.digest(pseudorandom, block + label + bytes((len(key) // 32 + 1,)), "sha256")
        key += block
    return key[:length]


def derive_keys(secrets: Sequence[bytes]) -> Keys:
    """The keys of an installation whose secrets these are, the newest first: ids stay with the oldest.

    Raises ``ConfigurationError`` where there is none, or one that is too short to be secret.
    """
    if not secrets or any(len(secret) < SECRET_BYTES for secret in secrets):
        raise ConfigurationError(f"an installation needs a secret of at least {SECRET_BYTES} bytes; make a random one")
    tokens = tuple(hkdf(secret, b"kubedaemon/tokens/1") for secret in secrets)
    return Keys(tokens, hkdf(secrets[-1], b"kubedaemon/ids/1"))


def attempt_expiry(deadline: float, heartbeat_timeout_seconds: float) -> int:
    """Until when the token of an attempt verifies: its call may be accepted at the deadline, and fall silent then."""
    return math.ceil(deadline + heartbeat_timeout_seconds) + GRACE_SECONDS


def replica_expiry(now: float) -> int:
    """Until when a token of /init that is made now verifies."""
    return math.ceil(now) + REPLICA_TOKEN_SECONDS


def signer(keys: Keys) -> Callable[[Token], str]:
    """A function that writes tokens. One is made for each call of a handler, so it does little."""
    keyed = hashlib.blake2b(key=keys.tokens[0], digest_size=_CODE_BYTES)

    def sign(token: Token) -> str:
        said = _VERSION + _encode(token)
        code = keyed.copy()
        code.update(said)
        return _text(code.digest() + said)

    return sign


def read_token(keys: Keys, text: str) -> Token | None:
    """What an authentic token says; None for anything else. Whether it is ``expired`` is another question."""
    if len(text) > _LONGEST or not text.isascii():
        return None
    padded = text.encode("ascii").translate(_FROM_URL) + b"=" * (-len(text) % 4)
    try:
        raw = a2b_base64(padded, strict_mode=True)
    except Base64Error:
        return None
    code, said = raw[:_CODE_BYTES], raw[_CODE_BYTES:]
    if said[:1] != _VERSION or _text(raw) != text or not any(_is_code(key, said, code) for key in keys.tokens):
        return None
    try:
        return _decoder.decode(said[1:])
    except msgspec.MsgspecError:
        return None


def expired(token: Token, now: float) -> bool:
    return now >= token.expires_at


def _is_code(key: bytes, said: bytes, code: bytes) -> bool:
    return hmac.compare_digest(hashlib.blake2b(said, key=key, digest_size=_CODE_BYTES).digest(), code)


def _text(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).translate(_TO_URL, b"=").decode("ascii")
