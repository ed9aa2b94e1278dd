"""A route and what it says of itself: the OpenAPI document is made of nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from backends.http.bodies import when_wanted
from contracts.api import DEFAULT_LIMIT, MAX_LIMIT
from contracts.problems import Problem

JSON: Final = "application/json"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """``where`` is path, query or header; ``schema`` is JSON Schema."""

    name: str
    where: str
    says: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    example: Any = None
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class Body:
    """What is sent: a type of ``contracts`` by media type, or None where any bytes will do. ``example`` is JSON."""

    media: Mapping[str, Any]
    says: str = ""
    example: Any = None
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is answered when all went well. ``shape`` is a type of ``contracts``, None for what is no JSON of ours."""

    says: str
    shape: Any = None
    media: str | None = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path. ``problems`` are those of its own, beside those that every call may meet.

    ``security`` names the scheme whose token it wants; empty where being on this machine is enough.
    """

    id: str
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: Mapping[int, Answer]
    problems: tuple[Problem, ...] = ()
    security: str = ""


@dataclass(frozen=True)
class Route:
    """Where a handler is served. ``operations`` by method and path is what the document says of it."""

    method: str
    path: str
    handler: Handler
    operations: Mapping[tuple[str, str], Operation]

    @classmethod
    def of(cls, method: str, path: str, handler: Handler, operation: Operation) -> Route:
        """A route that is one operation."""
        return cls(method, path, handler, {(method, path): operation})

    def definition(self) -> web.RouteDef:
        """For the router. A GET answers HEAD too, unless its answer never ends."""
        if self.method != "GET":
            return web.route(self.method, self.path, self.handler, expect_handler=when_wanted)
        endless = any(
            answer.media == "text/event-stream" for one in self.operations.values() for answer in one.answers.values()
        )
        return web.get(self.path, self.handler, allow_head=not endless, expect_handler=when_wanted)


SESSION: Final = Parameter(
    name="session",
    where="query",
    says="Only what is of this session.",
    schema={"type": "string", "minLength": 1, "maxLength": 255},
    example="customer-17",
)
WAIT: Final = Parameter(
    name="wait",
    where="query",
    says="Waits for the end, for so many seconds at most; more than 300 are cut to that.",
    schema={"type": "integer", "minimum": 0, "maximum": 999_999_999},
    example=30,
)
PAGE: Final = (
    Parameter(
        name="limit",
        where="query",
        says="How many items a page has at most.",
        schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
    Parameter(name="after", where="query", says="The `next` of the page before this one."),
)


def flag(name: str, says: str, *, must_be_true: bool = False) -> Parameter:
    """A parameter that is true or false; or one that has to be given, as true."""
    schema = {"type": "boolean", "const": True} if must_be_true else {"type": "boolean", "default": False}
    return Parameter(name=name, where="query", says=says, schema=schema, required=must_be_true)
