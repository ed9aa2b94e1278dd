"""Every route behind tokens: who may call it, who is told what, and that none is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dispatcher.adapters.auth import JwtTokens
from dispatcher.api.access import check_needs
from dispatcher.auth_settings import AuthSettings
from dispatcher.core.access import NEEDS, Open, Role
from tests.system.api_scene import QUEUE, Api, Worker, running
from tests.system.auth_scene import bearer, claims, guarded, jwks, public_jwk, signed

CALLS = [(method, template) for (method, template), need in NEEDS.items() if not isinstance(need, Open)]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with guarded(tmp_path) as api:
        yield api


def path_of(template: str, namespace: str = "default", queue: str = "missing") -> str:
    return template.replace("{namespace}", namespace).replace("{queue}", queue).replace("{id}", "abc")


async def call(api: Api, method: str, path: str, *roles: str, **more: Any) -> tuple[int, str]:
    """The status, and the ``detail`` of the problem that it is."""
    reply = await api.call(method, path, headers=bearer(signed(claims(*roles, **more))))
    return reply.status, reply.json["detail"] if reply.status >= 400 else ""


def test_a_route_of_which_nobody_said_who_may_call_it_cannot_be_served() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/v1/namespaces/{namespace}/queues", handler)
    check_needs(app)
    app.router.add_post("/v1/namespaces/{namespace}/queues", handler)
    with pytest.raises(LookupError, match=r"POST /v1/namespaces/\{namespace\}/queues: say"):
        check_needs(app)


@pytest.mark.parametrize(("method", "template"), CALLS)
async def test_each_call_is_held_to_namespace_and_role(api: Api, method: str, template: str) -> None:
    need = NEEDS[method, template]
    assert not isinstance(need, Open)
    path = path_of(template)
    open_reply = await api.call(method, path)
    assert (401, 'Bearer realm="kubedaemon"') == (open_reply.status, open_reply.headers["WWW-Authenticate"])
    foreign = await call(api, method, path, "admin", namespaces=["shop"])
    assert 403 == foreign[0]
    assert "does not list namespace 'default'" in foreign[1]
    for role in Role:
        status, detail = await call(api, method, path, role.value)
        assert (role not in need | {Role.ADMIN}) == (status == 403), detail
        assert status != 403 or all(repr(one.value) in detail for one in need)
    assert 403 == (await call(api, method, path))[0]


async def test_what_is_not_there_and_what_is_look_alike_to_strangers(api: Api) -> None:
    told = set()
    for queue in ("orders", "missing"):
        told.add(await call(api, "GET", path_of(QUEUE.replace("orders", queue)), "admin", namespaces=["shop"]))
        told.add(await call(api, "GET", f"/v1/namespaces/nowhere/queues/{queue}", "admin", namespaces=["shop"]))
    assert 2 == len(told), "one for each namespace that was asked for"
    assert {401} == {(await api.call("GET", path)).status for path in ("", "/v1/nothing", QUEUE, "/")}


async def test_every_namespace(api: Api) -> None:
    status, detail = await call(api, "GET", "/v1/namespaces/shop/queues", "viewer", namespaces=["*"])
    assert (404, True) == (status, "There is no namespace 'shop'" in detail)
    assert "default" not in detail, "which namespaces there are is not told"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_what_is_open(api: Api, path: str) -> None:
    assert 200 == (await api.call("GET", path, headers=bearer("nonsense"))).status
    assert 200 == (await api.call("HEAD", path)).status


async def test_the_callback_api_keeps_its_own_tokens(api: Api) -> None:
    reply = await api.call("POST", "/v1/callback/token", headers=bearer(signed(claims("admin"))))
    assert 501 == reply.status, "the gate let it through to where nobody tells which replicas there are"


@pytest.mark.parametrize("value", ["Basic eDp5", "Bearer", "Bearer ", "Bearer a b", "nonsense", "Bearer a\u00ff"])
async def test_an_authorization_that_is_none(api: Api, value: str) -> None:
    reply = await api.call("GET", "", headers={"Authorization": value})
    assert (401, "unauthorized") == (reply.status, reply.problem)
    assert "error=" in reply.headers["WWW-Authenticate"]


async def test_a_viewer_sees_no_answers_and_a_sender_its_own(api: Api) -> None:
    sender, viewer = (bearer(signed(claims(role))) for role in ("sender", "viewer"))
    sent = await api.call("POST", "messages", data=b"hello", headers=sender)
    worker = Worker(api)
    await worker.end(await worker.start(), body=b"secret")
    place = f"messages/{sent.json['id']}"
    answers = [await api.call("GET", path, headers=viewer) for path in (place, "messages")]
    assert ["", ""] == [(one.json.get("items") or [one.json])[0]["attempts"][0]["body"] for one in answers]
    assert "secret" == (await api.call("GET", place, headers=sender)).json["attempts"][0]["body"]
    assert b"secret" == (await api.call("GET", f"{place}/result", headers=sender)).body
    worker.stop()


async def test_behind_tokens_it_may_listen_anywhere(tmp_path: Path) -> None:
    (tmp_path / "jwks").write_text(jwks(public_jwk("EdDSA", "one")))
    api = Api(JwtTokens(AuthSettings(str(tmp_path / "jwks"))))
    assert 0 < await api.dispatcher.start("::1", 0)
    await api.dispatcher.stop()
    async with running() as unguarded:
        assert 200 == (await unguarded.call("GET", "", headers=bearer("ignored"))).status


async def test_the_documented_table_is_the_one_that_holds() -> None:
    text = (Path(__file__).parents[2] / "docs" / "auth.md").read_text()
    documented = {line for line in text.splitlines() if line.startswith("| `") and "KUBEDAEMON_" not in line}
    words = {Open.TO_ALL: "open", Open.BY_ITS_OWN_TOKEN: "the token of its attempt"}
    expected = set()
    for (method, template), need in NEEDS.items():
        roles = [role.value for role in Role if not isinstance(need, Open) and role in need | {Role.ADMIN}]
        short = template.replace("/v1/namespaces/{namespace}/queues/{queue}", "…/{queue}")
        short = short.replace("/v1/namespaces/{namespace}", "/v1/namespaces/{n}")
        expected.add(f"| `{method} {short}` | {words[need] if isinstance(need, Open) else ', '.join(roles)} |")
    assert expected == documented
