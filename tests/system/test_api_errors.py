"""Whatever goes wrong is a problem: routes, methods, what is no HTTP, defects, callers that may not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts.errors import ConfigurationError
from contracts.problems import BASE
from tests.system.api_scene import QUEUE, Api, running


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/namespaces", f"{QUEUE}/", f"{QUEUE}/mesages", "/%00%FF"])
async def test_an_unknown_path(api: Api, path: str) -> None:
    reply = await api.call("GET", path)
    assert (404, "unknown-route", "kubedaemon") == (reply.status, reply.problem, reply.headers["Server"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/healthz", "GET, HEAD"),
        ("PATCH", f"{QUEUE}/messages", "GET, HEAD, POST"),
        ("POST", QUEUE, "DELETE, GET, HEAD, PATCH, PUT"),
        ("GET", f"{QUEUE}/pause", "POST"),
        ("OPTIONS", f"{QUEUE}/messages", "GET, HEAD, POST"),
    ],
)
async def test_a_wrong_method(api: Api, method: str, path: str, allowed: str) -> None:
    reply = await api.call(method, path)
    assert (405, "method-not-allowed", allowed) == (reply.status, reply.problem, reply.headers["Allow"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/namespaces/default/callbacks?state=failed"),
        ("POST", "/v1/namespaces/default/callbacks/abc/replay"),
        ("GET", "/v1/namespaces/default/secrets"),
        ("DELETE", "/v1/namespaces/default/secrets/abc"),
    ],
)
async def test_what_is_not_built_says_so(api: Api, method: str, path: str) -> None:
    reply = await api.call(method, path)
    assert (501, "not-implemented") == (reply.status, reply.problem)
    assert "not built yet" in reply.json["detail"]


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_a_problem_too(api: Api, data: bytes) -> None:
    head, _, body = (await api.raw(data)).partition(b"\r\n\r\n")
    status = head.split(b" ")[1]
    assert (b"400", True) == (status, b"application/problem+json" in head)
    problem: dict[str, Any] = json.loads(body)
    assert BASE + "malformed-request" == problem["type"]
    assert "This is not HTTP as it should be" in problem["detail"]
    assert len(problem["detail"]) < 200


async def test_a_defect_is_told_without_its_inside(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.store.defect = RuntimeError("password=hunter2")
    reply = await api.call("GET", "messages/abc")
    assert (500, "internal") == (reply.status, reply.problem)
    assert b"hunter2" not in reply.body
    assert "a request failed" in capsys.readouterr().out
    api.store.defect = None
    assert 404 == (await api.call("GET", "messages/abc")).status


async def test_a_store_that_is_away_is_503(api: Api) -> None:
    api.store.away = True
    reply = await api.call("GET", "messages/abc")
    assert (503, "unavailable", "1") == (reply.status, reply.problem, reply.headers["Retry-After"])


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", 200),
        ("LOCALHOST", 200),
        ("app.localhost", 200),
        ("127.0.0.1:1", 200),
        ("127.9.9.9", 200),
        ("[::1]:8080", 200),
        ("evil.example", 403),
        ("evil.example:8080", 403),
        ("localhost.evil.example", 403),
        ("10.0.0.1", 403),
        ("127.0.0.1.evil.example", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_only_names_of_this_machine_are_served(api: Api, host: str, status: int) -> None:
    reply = await api.call("GET", "/healthz", headers={"Host": host})
    assert status == reply.status
    assert status == 200 or reply.problem == "forbidden"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost"])
async def test_web_pages_may_not_write(api: Api, origin: str) -> None:
    reply = await api.call("POST", "messages", data=b"x", headers={"Origin": origin})
    assert (403, "forbidden") == (reply.status, reply.problem)
    assert [] == api.broker.published


async def test_a_page_of_this_server_may(api: Api) -> None:
    origin = f"http://127.0.0.1:{api.port}"
    reply = await api.call("POST", "messages", data=b"x", headers={"Origin": origin})
    assert 202 == reply.status


async def test_an_unknown_query_parameter_is_refused_everywhere(api: Api) -> None:
    for method, path in (("GET", "?x=1"), ("POST", "messages?wait=5"), ("POST", "pause?x"), ("PUT", "?dry-run=true")):
        reply = await api.call(method, path, data=b"{}" if method != "GET" else None)
        assert (400, "malformed-request") == (reply.status, reply.problem)


async def test_requests_follow_each_other_on_one_connection(api: Api) -> None:
    bad = (
        f"POST {QUEUE}/messages HTTP/1.1\r\nHost: localhost\r\nKubedaemon-Delay: soon\r\nContent-Length: 5\r\n\r\nhello"
    )
    good = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = await api.raw((bad + good).encode())
    assert [b"400", b"200"] == [part.split(b" ")[1] for part in answer.split(b"HTTP/1.1")[1:] for part in [b"x" + part]]


async def test_a_port_in_use_says_the_way_out(api: Api) -> None:
    async with running() as other:
        await other.dispatcher.stop()
        with pytest.raises(ConfigurationError) as caught:
            await other.dispatcher.start("127.0.0.1", api.port)
    expected = (
        f"port {api.port} on 127.0.0.1 is in use by another program; choose another with --port, or stop that program"
    )
    assert expected == str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
async def test_without_tokens_it_is_open_on_loopback_alone(api: Api, host: str) -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        await api.dispatcher.start(host, 0)
