"""Bearer tokens as JWTs: each is verified once, and what it allows is remembered until it expires."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import jwt

from contracts.problems import ProblemError
from dispatcher.adapters.jwks import KeyRing
from dispatcher.auth_settings import AuthSettings
from dispatcher.core.access import Rights, read_rights, unauthorized

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA")
MAX_TOKEN_CHARACTERS: Final = 8192
LEEWAY_SECONDS: Final = 10.0
"""How far the clocks of issuer and dispatcher may be apart."""
_REMEMBERED: Final = 10_000


class JwtTokens:
    """``dispatcher.ports.Tokens`` over the keys of a JWKS. ``wall`` tells when a remembered token is over."""

    def __init__(self, settings: AuthSettings, wall: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._wall = wall
        self._known: dict[bytes, Rights] = {}
        self._ring = KeyRing(settings, self._known.clear)

    async def start(self) -> None:
        await self._ring.start()

    async def stop(self) -> None:
        await self._ring.stop()

    async def rights(self, token: str) -> Rights:
        """What the token allows. Raises ``ProblemError`` 401."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise _wrong(f"It is longer than {MAX_TOKEN_CHARACTERS} characters.")
        name = sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._known.get(name)
        if known is None:
            known = await self._verified(token)
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[name] = known
        if known.expires_at <= self._wall():
            self._known.pop(name, None)
            raise _expired()
        return known

    async def _verified(self, token: str) -> Rights:
        kid, algorithm = _read_head(token)
        keys = self._ring.fitting(kid, algorithm)
        if not keys:
            await self._ring.look_again()
            keys = self._ring.fitting(kid, algorithm)
        problem = _wrong(f"No key that is known here, and is for {algorithm}, has its 'kid'.")
        for key in keys:
            try:
                claims = self._decode(token, key.public, key.algorithm)
            except jwt.InvalidSignatureError:
                problem = _wrong("Its signature is not that of the key it names.")
                continue
            return self._read(claims)
        raise problem

    def _decode(self, token: str, key: Any, algorithm: str) -> Mapping[str, Any]:
        settings = self._settings
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=settings.issuer,
                audience=settings.audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp"], "verify_aud": settings.audience is not None, "verify_sub": False},
            )
        except jwt.InvalidSignatureError:
            raise
        except jwt.ExpiredSignatureError as error:
            raise _expired() from error
        except jwt.ImmatureSignatureError as error:
            raise _wrong("It is not valid yet ('nbf' or 'iat').") from error
        except jwt.InvalidIssuerError as error:
            raise _wrong("It is of another issuer ('iss') than is asked for here.") from error
        except jwt.InvalidAudienceError as error:
            raise _wrong("It is for another audience ('aud') than is asked for here.") from error
        except jwt.MissingRequiredClaimError as error:
            raise _wrong(f"It lacks the claim {error.claim!a}.") from error
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise _wrong("It is not a JWT, or a claim of it has a form that is not understood.") from error

    def _read(self, claims: Mapping[str, Any]) -> Rights:
        settings = self._settings
        try:
            expires_at = float(claims["exp"]) + LEEWAY_SECONDS
        except (ValueError, TypeError, OverflowError) as error:
            raise _wrong("Its 'exp' is not a time.") from error
        return read_rights(claims, settings.namespaces_claim, settings.roles_claim, expires_at)


def _read_head(token: str) -> tuple[str | None, str]:
    """Which key and algorithm it names; whatever else a header brings (``jwk``, ``jku``, ``x5u`` …) is ignored."""
    try:
        head = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise _wrong("It is not a JWT with a header that is understood.") from error
    kid, algorithm = head.get("kid"), head.get("alg")
    if algorithm not in ALGORITHMS:
        raise _wrong(f"Its algorithm is none of {', '.join(ALGORITHMS)}.")
    if "crit" in head:
        raise _wrong("It has critical header parameters, and none is understood here.")
    return kid, str(algorithm)


def _wrong(detail: str) -> ProblemError:
    return unauthorized(f"The token cannot be accepted. {detail} Have it issued anew.", "invalid_token")


def _expired() -> ProblemError:
    return unauthorized("The token has expired. Get a fresh one.", "invalid_token")
