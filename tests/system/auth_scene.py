"""Tokens to try: an issuer with keys of every kind, and the API behind a gate that knows them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from dispatcher.adapters.auth import JwtTokens
from dispatcher.auth_settings import AuthSettings
from tests.system.api_scene import Api

QUEUES = "/v1/namespaces/default/queues"


@cache
def private_key(kind: str, number: int = 0) -> Any:
    """The same one each time; making them is slow."""
    if kind == "RS256":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ES256" else ed25519.Ed25519PrivateKey.generate()


def public_jwk(kind: str, kid: str | None, number: int = 0) -> dict[str, Any]:
    public = private_key(kind, number).public_key()
    forms: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}
    shown = dict(forms[kind].to_jwk(public, as_dict=True))
    return shown if kid is None else {**shown, "kid": kid}


def jwks(*keys: dict[str, Any]) -> str:
    return json.dumps({"keys": keys})


def claims(*roles: str, namespaces: Sequence[str] = ("default",), **more: Any) -> dict[str, Any]:
    """For an hour, unless ``more`` says otherwise."""
    given = {"kubedaemon.namespaces": list(namespaces), "kubedaemon.roles": list(roles), "exp": time.time() + 3600}
    return {**given, **more}


def signed(said: dict[str, Any], kind: str = "EdDSA", kid: str | None = "one", number: int = 0, **headers: Any) -> str:
    named = headers if kid is None else {**headers, "kid": kid}
    return jwt.encode(said, private_key(kind, number), algorithm=kind, headers=named)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class Issuer:
    """Serves a JWKS on loopback: ``body`` with ``status``; ``asked`` counts how often."""

    def __init__(self, body: str) -> None:
        self.body = body
        self.status = 200
        self.asked = 0
        self.url = ""

    async def serve(self, request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(text=self.body, status=self.status)


@asynccontextmanager
async def issuing(body: str) -> AsyncIterator[Issuer]:
    issuer, app = Issuer(body), web.Application()
    app.router.add_get("/jwks", issuer.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    yield issuer
    await runner.cleanup()


@asynccontextmanager
async def knowing(settings: AuthSettings, clock: list[float] | None = None) -> AsyncIterator[JwtTokens]:
    """Tokens with their keys at hand; the only item of ``clock`` is what time they take it to be."""
    tokens = JwtTokens(settings) if clock is None else JwtTokens(settings, lambda: clock[0])
    await tokens.start()
    yield tokens
    await tokens.stop()


@asynccontextmanager
async def guarded(directory: Path) -> AsyncIterator[Api]:
    """The API with the queue ``orders``, behind tokens of the key ``one`` (EdDSA)."""
    path = directory / "jwks.json"
    path.write_text(jwks(public_jwk("EdDSA", "one")))
    api = Api(JwtTokens(AuthSettings(str(path))))
    api.port = await api.dispatcher.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as api.session:
        made = await api.call("PUT", "", json={"spec": {"partitions": 1}}, headers=bearer(signed(claims("admin"))))
        assert 201 == made.status
        yield api
    await api.dispatcher.stop()
