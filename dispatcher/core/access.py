"""Who may do what: roles, the rights that a token's claims give, and what each route asks for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from contracts.problems import Problem, ProblemError

EVERY_NAMESPACE: Final = "*"
NAMESPACES_CLAIM: Final = "kubedaemon.namespaces"
ROLES_CLAIM: Final = "kubedaemon.roles"


class Role(Enum):
    """What a caller is in its namespaces. An admin may do all that the others may; else none includes another."""

    VIEWER = "viewer"
    SENDER = "sender"
    ADMIN = "admin"


class Rights(NamedTuple):
    """What a token allows, until ``expires_at`` (Unix seconds). ``namespaces`` may hold ``*``."""

    namespaces: frozenset[str]
    roles: frozenset[Role]
    expires_at: float

    def check(self, namespace: str, allowed: frozenset[Role]) -> None:
        """Raises ``ProblemError`` 403: for the namespace first, so that nobody learns what is in another's."""
        if not self.namespaces & {namespace, EVERY_NAMESPACE}:
            detail = (
                f"The token does not list namespace {namespace[:80]!a}. Ask for one that does, or correct the name."
            )
            raise _forbidden(detail)
        if not self.roles & (allowed | {Role.ADMIN}):
            names = " or ".join(repr(role.value) for role in Role if role in allowed | {Role.ADMIN})
            raise _forbidden(f"This takes the role {names}, which the token does not list. Ask for one that does.")

    @property
    def sees_answers(self) -> bool:
        """May it read what handlers answered? A viewer may not."""
        return bool(self.roles & {Role.SENDER, Role.ADMIN})


def _forbidden(detail: str) -> ProblemError:
    problem = ProblemError(Problem.FORBIDDEN, detail)
    problem.headers["WWW-Authenticate"] = 'Bearer realm="kubedaemon", error="insufficient_scope"'
    return problem


def unauthorized(detail: str, error: str = "") -> ProblemError:
    """A 401 as RFC 6750 has it. ``error`` is its code, none where no token came; ``detail`` never holds the token."""
    problem = ProblemError(Problem.UNAUTHORIZED, detail)
    problem.headers["WWW-Authenticate"] = 'Bearer realm="kubedaemon"' + (f', error="{error}"' if error else "")
    return problem


def read_bearer(headers: list[str]) -> str:
    """The token of the ``Authorization`` headers. Raises ``ProblemError`` 401."""
    if not headers:
        raise unauthorized("There is no token. Send the header Authorization: Bearer TOKEN.")
    scheme, _, token = headers[0].partition(" ")
    token = token.strip(" ")
    if len(headers) > 1 or scheme.lower() != "bearer" or not token or " " in token:
        raise unauthorized("Authorization is not understood. Send it once, as Bearer TOKEN.", "invalid_request")
    return token


def read_rights(claims: Mapping[str, Any], namespaces: str, roles: str, expires_at: float) -> Rights:
    """The rights in a verified token's claims; names of roles that are not known here give none.

    Raises ``ProblemError`` 401 for claims of another shape.
    """
    known = {role.value: role for role in Role}
    listed = _strings(claims, roles)
    return Rights(
        frozenset(_strings(claims, namespaces)), frozenset(known[name] for name in listed if name in known), expires_at
    )


def _strings(claims: Mapping[str, Any], name: str) -> list[str]:
    """A claim that lists words, by its flat name or, where that is not there, along its dots; absent is empty."""
    value: Any = claims.get(name)
    if value is None:
        value = claims
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise unauthorized(
            f"The token's claim {name!a} is not a list of strings. Have it issued anew.", "invalid_token"
        )
    return value


class Open(Enum):
    """Routes that no token of a sender opens: those for everybody, and those with tokens of their own."""

    TO_ALL = "open"
    BY_ITS_OWN_TOKEN = "own token"


Need = frozenset[Role] | Open

_VIEWER: Final = frozenset({Role.VIEWER})
_SENDER: Final = frozenset({Role.SENDER})
_ADMIN: Final = frozenset({Role.ADMIN})
_NAMESPACE: Final = "/v1/namespaces/{namespace}"
_QUEUE: Final = f"{_NAMESPACE}/queues/{{queue}}"

NEEDS: Final[dict[tuple[str, str], Need]] = {
    ("GET", "/healthz"): Open.TO_ALL,
    ("GET", "/readyz"): Open.TO_ALL,
    ("GET", "/metrics"): Open.TO_ALL,
    ("GET", "/openapi.json"): Open.TO_ALL,
    ("GET", "/docs"): Open.TO_ALL,
    ("GET", "/docs/{asset}"): Open.TO_ALL,
    ("*", "/v1/callback/{path}"): Open.BY_ITS_OWN_TOKEN,
    ("GET", f"{_NAMESPACE}/queues"): _VIEWER,
    ("GET", _QUEUE): _VIEWER,
    ("PUT", _QUEUE): _ADMIN,
    ("PATCH", _QUEUE): _ADMIN,
    ("DELETE", _QUEUE): _ADMIN,
    ("POST", f"{_QUEUE}/pause"): _ADMIN,
    ("POST", f"{_QUEUE}/resume"): _ADMIN,
    ("POST", f"{_QUEUE}/messages"): _SENDER,
    ("POST", f"{_QUEUE}/messages/batch"): _SENDER,
    ("GET", f"{_QUEUE}/messages"): _VIEWER,
    ("GET", f"{_QUEUE}/messages/{{id}}"): _VIEWER | _SENDER,
    ("GET", f"{_QUEUE}/messages/{{id}}/result"): _SENDER,
    ("DELETE", f"{_QUEUE}/messages/{{id}}"): _ADMIN,
    ("GET", f"{_QUEUE}/events"): _VIEWER,
    ("GET", f"{_QUEUE}/sessions"): _VIEWER,
    ("POST", f"{_QUEUE}/sessions/release"): _ADMIN,
    ("POST", f"{_QUEUE}/sessions/skip"): _ADMIN,
    ("GET", f"{_QUEUE}/dead-letters"): _VIEWER,
    ("DELETE", f"{_QUEUE}/dead-letters"): _ADMIN,
    ("POST", f"{_QUEUE}/dead-letters/redrive"): _ADMIN,
    ("GET", f"{_NAMESPACE}/callbacks"): _VIEWER,
    ("POST", f"{_NAMESPACE}/callbacks/{{id}}/replay"): _ADMIN,
    ("GET", f"{_NAMESPACE}/secrets"): _VIEWER,
    ("POST", f"{_NAMESPACE}/secrets"): _ADMIN,
    ("DELETE", f"{_NAMESPACE}/secrets/{{id}}"): _ADMIN,
}
"""What each route asks for, by method and template; a route that is not here is not served at all."""
