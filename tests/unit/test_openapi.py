"""The OpenAPI document: nothing is served that it does not tell of, and what it tells is right in itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from aiohttp import web

from backends.http.callback_words import SAYINGS
from contracts.examples import EXAMPLES
from contracts.handler import CALLBACK_PATH
from contracts.problems import BASE, MEDIA_TYPE, Problem
from contracts.records import State
from contracts.shapes import MessageState
from dispatcher.api.app import all_routes
from dispatcher.api.describing import Route
from dispatcher.api.markdown import as_markdown
from dispatcher.api.reference import document, routes

REFERENCE = Path(__file__).parents[2] / "docs" / "api.md"
NOT_TOLD = {
    ("*", "/v1/callback/{path}"),  # the router's one route for the operations below it
    ("GET", "/docs/{asset}"),
    # not built yet
    ("GET", "/v1/namespaces/{namespace}/callbacks"),
    ("POST", "/v1/namespaces/{namespace}/callbacks/{id}/replay"),
    ("GET", "/v1/namespaces/{namespace}/secrets"),
    ("POST", "/v1/namespaces/{namespace}/secrets"),
    ("DELETE", "/v1/namespaces/{namespace}/secrets/{id}"),
}


@cache
def api() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document(all_routes())))
    return found


def served() -> list[Route]:
    return [*all_routes(), *routes([])]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in api()["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from walk(one)
    elif isinstance(value, list):
        for one in value:
            yield from walk(one)


def test_the_router_serves_what_the_document_tells_and_nothing_else() -> None:
    app = web.Application()
    app.add_routes([route.definition() for route in served()])
    routed = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    told = {(method, path) for method, path, _ in operations() if not path.startswith(CALLBACK_PATH)}
    assert routed - NOT_TOLD == told


def test_the_callback_api_is_told_whole() -> None:
    told = {(method, path.removeprefix(CALLBACK_PATH)) for method, path, _ in operations() if CALLBACK_PATH in path}
    spoken = {(method, path) for path, sayings in SAYINGS.items() for method in sayings}
    assert spoken | {("POST", "/token"), ("POST", "/queues/{queue}/messages")} == told


def test_a_name_is_given_once() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert sorted(set(names)) == sorted(names)


def test_every_reference_leads_somewhere() -> None:
    names = {one["$ref"].removeprefix("#/components/schemas/") for one in walk(api()) if "$ref" in one}
    assert names
    assert set() == names - set(api()["components"]["schemas"])


def test_every_group_and_scheme_is_explained() -> None:
    tags = {tag["name"] for tag in api()["tags"]}
    schemes = {name for _, _, operation in operations() for one in operation["security"] for name in one}
    assert tags == {operation["tags"][0] for _, _, operation in operations()}
    assert set(api()["components"]["securitySchemes"]) == schemes


def test_every_problem_is_told_with_its_status() -> None:
    by_type = {BASE + problem.slug: problem for problem in Problem}
    told: set[str] = set()
    for _, _, operation in operations():
        for status, answer in operation["responses"].items():
            schema = answer.get("content", {}).get(MEDIA_TYPE, {}).get("schema")
            types = schema["properties"]["type"]["enum"] if schema else []
            assert [int(status)] * len(types) == [by_type[one].status for one in types]
            told.update(types)
    of_the_router = {BASE + problem.slug for problem in (Problem.UNKNOWN_ROUTE, Problem.METHOD_NOT_ALLOWED)}
    assert set(by_type) - of_the_router == told


@pytest.mark.parametrize("shape", EXAMPLES, ids=str)
def test_an_example_is_what_its_schema_says(shape: Any) -> None:
    kinds = shape if isinstance(shape, tuple) else (shape,)
    fitting = []
    for kind in kinds:
        try:
            fitting.append(msgspec.convert(EXAMPLES[shape], kind))
        except msgspec.ValidationError as error:
            last = error
    assert fitting, last


def test_every_state_is_told() -> None:
    assert {*State, "staged"} == set(get_args(MessageState))


def test_the_reference_is_of_this_document() -> None:
    assert REFERENCE.read_text() == as_markdown(api()), "run scripts/reference"
