"""The document and the page as they are served, and answers as they are held against it."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from contracts import shapes
from tests.system.api_scene import Api, Worker, running


async def test_the_document_is_served() -> None:
    async with running() as api:
        reply = await api.call("GET", "/openapi.json")
    assert (200, "application/json", "3.1.0") == (reply.status, reply.headers["Content-Type"], reply.json["openapi"])
    assert "/v1/namespaces/{namespace}/queues/{queue}/messages" in reply.json["paths"]


async def test_the_page_comes_whole_from_here_and_may_load_nothing_else() -> None:
    async with running() as api:
        page = await api.call("GET", "/docs")
        links = re.findall(rb'(?:href|src)="([^"#]+)"', page.body)
        parts = {link: await api.call("GET", f"/{link.decode()}") for link in links}
        missing = await api.call("GET", "/docs/app.py")
    assert (200, "text/html; charset=utf-8") == (page.status, page.headers["Content-Type"])
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert {b"docs/page.css", b"docs/page.js", b"openapi.json"} == set(parts)
    assert {200} == {part.status for part in parts.values()}
    assert (404, "unknown-route") == (missing.status, missing.problem)


def fits(value: Any, shape: Any) -> None:
    """It is of this shape, and has nothing that the shape does not name."""
    assert value == msgspec.to_builtins(msgspec.convert(value, shape))


@pytest.fixture
async def api() -> Any:
    async with running() as api:
        yield api


async def test_answers_have_the_shapes_that_are_told(api: Api) -> None:
    sent = await api.call("POST", "messages", data=b"x", headers={"Kubedaemon-Session": "s"})
    fits(sent.json, shapes.Accepted)
    fits((await api.call("GET", f"messages/{sent.json['id']}")).json, shapes.Message)
    fits((await api.call("GET", "messages")).json, shapes.MessageList)
    fits((await api.call("GET", "")).json["status"], shapes.Status)
    fits((await api.call("GET", "sessions")).json, shapes.SessionList)


async def test_dead_letters_have_the_shape_that_is_told(api: Api) -> None:
    worker = Worker(api)
    for _ in range(2):
        await api.send()
    await worker.kill(2)
    listed = (await api.call("GET", "dead-letters")).json
    assert 2 == len(listed["items"])
    fits(listed, shapes.DeadLetterList)
    fits((await api.call("POST", "dead-letters/redrive", json={"all": True})).json, shapes.Redriven)
    fits((await api.call("DELETE", "dead-letters?all=true")).json, shapes.Purged)
    worker.stop()
