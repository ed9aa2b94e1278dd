"""The public keys that tokens are verified with: read from a file or a URL, and read again while they are used."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import jwt
import msgspec
import structlog

from contracts.errors import ConfigurationError, TransientError
from dispatcher.auth_settings import AuthSettings

MAX_BYTES: Final = 256 * 1024
FILE_SECONDS: Final = 2.0
URL_SECONDS: Final = 300.0
FETCH_SECONDS: Final = 5.0
UNKNOWN_KEY_SECONDS: Final = 5.0
"""How long nothing is read again for the sake of a key that nobody knows."""
_LEAST_RSA_BITS: Final = 2048

_log = structlog.get_logger("auth")


class Key:
    """One public key, and the one algorithm that it is for."""

    def __init__(self, kid: str | None, algorithm: str, public: Any) -> None:
        self.kid = kid
        self.algorithm = algorithm
        self.public = public


def parse_keys(data: bytes) -> list[Key]:
    """The keys of a JWKS that can verify. Raises ``ValueError`` where there is none, or it is no JWKS."""
    try:
        listed = msgspec.json.decode(data)["keys"]
    except (msgspec.DecodeError, RecursionError, KeyError, TypeError) as error:
        raise ValueError("it is not a JWKS, which is JSON with a member 'keys'") from error
    if not isinstance(listed, list):
        raise ValueError("its member 'keys' is not a list")
    keys = [key for one in listed if isinstance(one, dict) for key in _read_key(one)]
    if not keys:
        raise ValueError("it holds no public key for RS256 (2048 bits or more), ES256 or EdDSA (Ed25519)")
    return keys


def _read_key(given: dict[str, Any]) -> list[Key]:
    """One key, or none where it is for something else. A private part is not even looked at."""
    kinds = {("RSA", None): ("RS256", "en"), ("EC", "P-256"): ("ES256", "xy"), ("OKP", "Ed25519"): ("EdDSA", "x")}
    kind, kid = given.get("kty"), given.get("kid")
    curve = given.get("crv") if kind != "RSA" else None
    if not isinstance(kind, str) or not isinstance(curve, str | None) or not isinstance(kid, str | None):
        return []
    algorithm, members = kinds.get((kind, curve), ("", ""))
    operations = given.get("key_ops", ["verify"])
    fits = given.get("alg", algorithm) == algorithm and given.get("use", "sig") == "sig"
    if not algorithm or not fits or not isinstance(operations, list) or "verify" not in operations:
        return []
    public = {"kty": kind, "crv": curve} | {name: given.get(name) for name in members}
    try:
        key = jwt.PyJWK({name: value for name, value in public.items() if value is not None}, algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):
        return []
    if kind == "RSA" and key.key_size < _LEAST_RSA_BITS:
        return []
    return [Key(kid, algorithm, key)]


class KeyRing:
    """The keys as they are now. ``on_change`` is called whenever they are others than before."""

    def __init__(self, settings: AuthSettings, on_change: Callable[[], None]) -> None:
        self._settings = settings
        self._on_change = on_change
        self._keys: list[Key] = []
        self._data = b""
        self._away = False
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises ``ConfigurationError`` where there are no keys to begin with."""
        try:
            await self._read()
        except (TransientError, ValueError) as error:
            raise ConfigurationError(f"KUBEDAEMON_AUTH_JWKS: {self._settings.jwks}: {error}") from error
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def fitting(self, kid: str | None, algorithm: str) -> list[Key]:
        """The keys that may have signed: by name, or where a token names none, if there is one alone."""
        found = [key for key in self._keys if kid in (None, key.kid) and key.algorithm == algorithm]
        return found if kid is not None or len(found) == 1 else []

    async def look_again(self) -> None:
        """Reads once more, for a key that is not known; at most once in a while, however often it is asked."""
        async with self._reading:
            if asyncio.get_running_loop().time() - self._read_at >= UNKNOWN_KEY_SECONDS:
                await self._try()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(URL_SECONDS if self._settings.remote else FILE_SECONDS)
            async with self._reading:
                await self._try()

    async def _try(self) -> None:
        """Where the source is away, or holds nonsense, the last keys stay; that is said once."""
        try:
            await self._read()
        except (TransientError, ValueError) as error:
            if not self._away:
                _log.warning("the keys of tokens cannot be read; the last ones stay", error=str(error))
            self._away = True
            return
        if self._away:
            _log.info("the keys of tokens can be read again")
        self._away = False

    async def _read(self) -> None:
        try:
            data = await (_fetch(self._settings.jwks) if self._settings.remote else _read_file(self._settings.jwks))
        finally:
            self._read_at = asyncio.get_running_loop().time()  # those who waited for an attempt do not make another
        if data != self._data:
            self._keys, self._data = parse_keys(data), data
            self._on_change()


async def _read_file(path: str) -> bytes:
    try:
        data = await asyncio.to_thread(Path(path).read_bytes)
    except (OSError, ValueError) as error:
        raise TransientError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return _bounded(data)


async def _fetch(url: str) -> bytes:
    timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise TransientError(f"it answers {response.status}, not 200")
            data = bytearray()
            async for chunk in response.content.iter_any():
                data += chunk
                _bounded(data)
            return bytes(data)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise TransientError(f"it does not answer: {error or type(error).__name__}") from error


def _bounded(data: bytes | bytearray) -> bytes:
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES} bytes")
    return bytes(data)
