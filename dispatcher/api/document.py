"""The OpenAPI 3.1 document, made from what the routes say of themselves and from the types of ``contracts``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec

from contracts.examples import EXAMPLES
from contracts.problems import BASE, MEDIA_TYPE, Problem
from contracts.shapes import ProblemShown
from dispatcher.api.describing import JSON, Answer, Body, Operation, Parameter, Route

_COMMON: Final = (
    Problem.MALFORMED_REQUEST,
    Problem.UNAUTHORIZED,
    Problem.FORBIDDEN,
    Problem.INTERNAL,
    Problem.UNAVAILABLE,
)
"""What every call may be answered: framing, being foreign, a defect in here, broker or store away."""

_REF: Final = "#/components/schemas/{name}"
_LABEL: Final = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"

_PATHS: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "namespace": ("The namespace.", {"type": "string", "pattern": _LABEL, "maxLength": 63}, "default"),
    "queue": ("The queue's name.", {"type": "string", "pattern": _LABEL, "maxLength": 52}, "orders"),
    "id": (
        "The message's id.",
        {"type": "string", "pattern": "^[!-.0-~]+$"},
        "019a3c5e7f1028d1c6f0a94b7e35d2c8",
    ),
}
"""What stands in the braces of a path."""

TAGS: Final = {
    "messages": "Send work, see what became of it, fetch results.",
    "queues": "Definitions and live numbers.",
    "sessions": "Who holds a session, and what waits in it.",
    "dead letters": "What could not be handled.",
    "callbacks": "What handlers say while they work, and what they send. The same API as at each handler's own "
    "`Kubedaemon-Callback-Url`, for programs outside of the pod.",
    "service": "Is it alive, is it ready, and how it is.",
}

SECURITY: Final = {
    "bearerToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Where the dispatcher was started with `KUBEDAEMON_AUTH_JWKS`; else it is open to its machine alone.",
    },
    "handlerToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The `Kubedaemon-Token` of the call, which speaks for its attempt, or the token of `/init`, "
        "which may enqueue at once.",
    },
}

_ABOUT: Final = (
    "Every error is `application/problem+json` (RFC 9457) with a stable `type`, and says what to do. What is not served "
    "is 404 `unknown-route`; a path that does not take a method 405 `method-not-allowed`, with `Allow`. Lists are "
    '`{"items": […], "next": CURSOR or null}`. Without tokens it is open to this machine alone. Headers of a sender '
    "that begin with `Kubedaemon-Meta-` reach the handler; so do `ce-*`, `traceparent` and `tracestate`."
)


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The document for these routes."""
    operations = [described for route in routes for described in route.operations.items()]
    shapes = {kind: None for _, one in operations for shape in _shapes(one) for kind in _alternatives(shape)} | {
        ProblemShown: None
    }
    found, components = msgspec.json.schema_components(list(shapes), ref_template=_REF)
    schemas = dict(zip(shapes, found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in operations:
        paths.setdefault(path, {})[method.lower()] = _operation(path, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kubedaemon",
            "version": version("kubedaemon"),
            "description": _ABOUT,
            "license": {"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": says} for name, says in TAGS.items()],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY},
    }


def _shapes(operation: Operation) -> Iterable[Any]:
    if operation.body is not None:
        yield from (shape for shape in operation.body.media.values() if shape is not None)
    yield from (answer.shape for answer in operation.answers.values() if answer.shape is not None)


def _alternatives(shape: Any) -> tuple[Any, ...]:
    """A tuple of types is any of them: msgspec itself cannot tell untagged objects apart."""
    return shape if isinstance(shape, tuple) else (shape,)


def _operation(path: str, operation: Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    given = [_parameter(_of_path(name)) for name in re.findall(r"\{(\w+)", path)]
    found: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": given + [_parameter(one) for one in operation.parameters],
        "responses": _responses(operation, schemas),
        "security": _security(path, operation),
    }
    if operation.description:
        found["description"] = operation.description
    if operation.body is not None:
        found["requestBody"] = _body(operation.body, schemas)
    return found


def _security(path: str, operation: Operation) -> list[dict[str, list[str]]]:
    """What is in a namespace takes a token where there are any, and else none."""
    if operation.security:
        return [{operation.security: []}]
    return [{"bearerToken": []}, {}] if path.startswith("/v1/namespaces") else []


def _of_path(name: str) -> Parameter:
    says, schema, example = _PATHS[name]
    return Parameter(name=name, where="path", says=says, schema=schema, example=example, required=True)


def _parameter(parameter: Parameter) -> dict[str, Any]:
    found = {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.says,
        "required": parameter.required,
        "schema": dict(parameter.schema),
    }
    return found if parameter.example is None else found | {"example": parameter.example}


def _body(body: Body, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    media = {name: _content(shape, schemas) for name, shape in body.media.items()}
    if body.example is not None:
        media[JSON]["example"] = body.example
    return {"description": body.says, "required": body.required, "content": media}


def _content(shape: Any, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    if shape is None:
        return {}
    kinds = [schemas[kind] for kind in _alternatives(shape)]
    found: dict[str, Any] = {"schema": kinds[0] if len(kinds) == 1 else {"anyOf": kinds}}
    return found | {"example": EXAMPLES[shape]} if shape in EXAMPLES else found


def _responses(operation: Operation, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    found = {str(status): _answer(answer, schemas) for status, answer in operation.answers.items()}
    by_status: dict[int, list[Problem]] = {}
    for problem in dict.fromkeys((*_COMMON, *operation.problems)):
        by_status.setdefault(problem.status, []).append(problem)
    for status, problems in sorted(by_status.items()):
        told = _problems(problems, schemas)
        if str(status) in found:
            found[str(status)].setdefault("content", {}).update(told["content"])
            found[str(status)]["description"] += f" Or: {told['description']}"
        else:
            found[str(status)] = told
    return found


def _answer(answer: Answer, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.says}
    if answer.media is not None:
        found["content"] = {answer.media: _content(answer.shape, schemas)}
    if answer.headers:
        headers = answer.headers.items()
        found["headers"] = {name: {"description": says, "schema": {"type": "string"}} for name, says in headers}
    return found


def _problems(problems: list[Problem], schemas: Mapping[Any, Any]) -> dict[str, Any]:
    types = [BASE + problem.slug for problem in problems]
    first = problems[0]
    schema = {
        "allOf": [schemas[ProblemShown]],
        "properties": {"type": {"enum": types}, "status": {"const": first.status}},
    }
    said = "; ".join(f"{problem.title} (`{problem.slug}`)" for problem in problems)
    found: dict[str, Any] = {
        "description": f"{said}.",
        "content": {MEDIA_TYPE: {"schema": schema, "example": first.body("What is wrong, and what to do about it.")}},
    }
    if first.status in (429, 503):
        found["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
    return found
