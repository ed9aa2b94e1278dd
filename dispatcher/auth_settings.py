"""How tokens are judged, from ``KUBEDAEMON_AUTH_*``; a wrong one is a sentence that names the variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from backends.http.loopback import is_loopback
from contracts.errors import ConfigurationError
from dispatcher.core.access import NAMESPACES_CLAIM, ROLES_CLAIM

_PREFIX = "KUBEDAEMON_AUTH_"


@dataclass(frozen=True)
class AuthSettings:
    """``jwks`` is a URL or the path of a file; ``issuer`` and ``audience`` are pinned unless they are None."""

    jwks: str
    issuer: str | None = None
    audience: str | None = None
    namespaces_claim: str = NAMESPACES_CLAIM
    roles_claim: str = ROLES_CLAIM

    @property
    def remote(self) -> bool:
        return "://" in self.jwks


def read_auth(environment: Mapping[str, str]) -> AuthSettings | None:
    """The settings, or None where none is set. Raises ``ConfigurationError``."""
    names = ("JWKS", "ISSUER", "AUDIENCE", "NAMESPACES_CLAIM", "ROLES_CLAIM")
    given = {name.lower(): environment[_PREFIX + name] for name in names if _PREFIX + name in environment}
    if not given:
        return None
    for name, value in given.items():
        if not value.strip():
            raise ConfigurationError(f"{_PREFIX}{name.upper()} is empty; give it a value, or unset it")
    if "jwks" not in given:
        first = _PREFIX + next(iter(given)).upper()
        raise ConfigurationError(f"{first} is set without {_PREFIX}JWKS, which says where the keys are; set both")
    settings = AuthSettings(**given)
    if settings.remote:
        _check_url(settings.jwks)
    return settings


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if not host or port == 0 or parts.username is not None or not url.isprintable() or " " in url:
        raise ConfigurationError(
            f"{_PREFIX}JWKS is neither a file nor an address; write https://HOST/PATH without a password"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(f"[{host}]" if ":" in host else host)):
        raise ConfigurationError(
            f"{_PREFIX}JWKS: whoever can change what {host} answers makes tokens; use https (http on loopback alone)"
        )
