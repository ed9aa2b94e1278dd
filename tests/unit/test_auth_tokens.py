"""Which JWTs are believed: every way in which one can be wrong, and who is told what."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from contracts.errors import ConfigurationError
from contracts.problems import ProblemError
from dispatcher.adapters.jwks import parse_keys
from dispatcher.auth_settings import AuthSettings, read_auth
from dispatcher.core.access import Rights, Role
from tests.system.auth_scene import claims, jwks, knowing, private_key, public_jwk, signed

KINDS = ("RS256", "ES256", "EdDSA")


def settings(directory: Path, **more: Any) -> AuthSettings:
    """All kinds of keys, each named after itself."""
    path = directory / "jwks.json"
    path.write_text(jwks(*(public_jwk(kind, kind) for kind in KINDS)))
    return AuthSettings(str(path), **more)


async def judged(given: AuthSettings, token: str) -> Rights:
    async with knowing(given) as tokens:
        return await tokens.rights(token)


async def refusal(given: AuthSettings, token: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        await judged(given, token)
    return caught.value


@pytest.mark.parametrize("kind", KINDS)
async def test_every_algorithm_is_believed(tmp_path: Path, kind: str) -> None:
    rights = await judged(settings(tmp_path), signed(claims("sender", "stranger"), kind, kind))
    assert ({"default"}, {Role.SENDER}) == (set(rights.namespaces), set(rights.roles))


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(algorithm: str) -> str:
    return f"{part({'alg': algorithm, 'kid': 'RS256'})}.{part(claims('admin'))}."


def with_the_public_key_as_secret() -> str:
    pem = private_key("RS256").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    said = f"{part({'alg': 'HS256', 'kid': 'RS256'})}.{part(claims('admin'))}"
    return f"{said}.{part(hmac.digest(pem, said.encode(), hashlib.sha256))}"


def embedded(name: str) -> str:
    """Signed with a key that it brings along, under the name of one that is known."""
    brought = public_jwk("ES256", "ES256", 1) if name == "jwk" else "http://127.0.0.1:1/evil"
    return signed(claims("admin"), "ES256", "ES256", 1, **{name: brought})


def altered() -> str:
    head, _, signature = signed(claims("viewer"), "ES256", "ES256").split(".")
    return f"{head}.{part(claims('admin'))}.{signature}"


def now(seconds: float) -> float:
    return time.time() + seconds


ATTACKS: dict[str, tuple[Callable[[], str], str]] = {
    "none": (lambda: unsigned("none"), "algorithm is none of RS256"),
    "None": (lambda: unsigned("None"), "algorithm is none of RS256"),
    "HMAC with the public key": (with_the_public_key_as_secret, "algorithm is none of RS256"),
    "no signature": (lambda: unsigned("RS256"), "signature"),
    "altered": (altered, "signature"),
    "another's key": (lambda: signed(claims("admin"), "ES256", "ES256", 1), "signature"),
    "unknown kid": (lambda: signed(claims("admin"), "ES256", "two"), "No key"),
    "a kid of another algorithm": (lambda: signed(claims("admin"), "ES256", "RS256"), "No key"),
    "embedded jwk": (lambda: embedded("jwk"), "signature"),
    "embedded jku": (lambda: embedded("jku"), "signature"),
    "embedded x5u": (lambda: embedded("x5u"), "signature"),
    "crit": (lambda: signed(claims("admin"), "ES256", "ES256", crit=["exp"], exp=1), "header"),
    "crit that a library knows": (
        lambda: f"{part({'alg': 'ES256', 'kid': 'ES256', 'crit': ['b64'], 'b64': False})}..",
        "critical",
    ),
    "expired": (lambda: signed(claims("admin", exp=now(-60)), "ES256", "ES256"), "has expired"),
    "without exp": (lambda: signed(claims("admin", exp=None), "ES256", "ES256"), "'exp'"),
    "exp that is no time": (lambda: signed(claims("admin", exp=[1]), "ES256", "ES256"), "form"),
    "endless exp": (lambda: signed(claims("admin", exp=float("inf")), "ES256", "ES256"), "form"),
    "not yet valid": (lambda: signed(claims("admin", nbf=now(60)), "ES256", "ES256"), "not valid yet"),
    "other audience": (lambda: signed(claims("admin", aud="b", iss="i"), "ES256", "ES256"), "another audience"),
    "no audience": (lambda: signed(claims("admin", iss="i"), "ES256", "ES256"), "'aud'"),
    "other issuer": (lambda: signed(claims("admin", aud="a", iss="j"), "ES256", "ES256"), "another issuer"),
    "huge": (lambda: "x" * 10_000, "longer than 8192"),
    "garbage": (lambda: "garbage", "not a JWT"),
    "two dots": (lambda: "..", "not a JWT"),
    "deep": (lambda: f"{part(b'[' * 4000)}..", "not a JWT"),
    "claims that are no list": (
        lambda: signed(claims(aud="a", iss="i") | {"kubedaemon.roles": "admin"}, "ES256", "ES256"),
        "not a list",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack_is_refused_and_not_echoed(tmp_path: Path, name: str) -> None:
    make, reason = ATTACKS[name]
    token = make()
    problem = await refusal(settings(tmp_path, issuer="i", audience="a"), token)
    assert 401 == problem.problem.status
    assert reason in problem.detail
    assert token not in f"{problem.detail} {problem.headers} {problem.extra}"
    assert 'Bearer realm="kubedaemon", error="invalid_token"' == problem.headers["WWW-Authenticate"]


async def test_clocks_may_differ_a_little(tmp_path: Path) -> None:
    said = claims("viewer", exp=now(-5), nbf=now(5))
    assert {Role.VIEWER} == (await judged(settings(tmp_path), signed(said, "ES256", "ES256"))).roles


async def test_a_token_without_a_kid_is_tried_on_the_only_key_of_its_algorithm(tmp_path: Path) -> None:
    given, token = settings(tmp_path), signed(claims("viewer"), "ES256", None)
    assert {Role.VIEWER} == (await judged(given, token)).roles
    Path(given.jwks).write_text(jwks(public_jwk("ES256", "ES256"), public_jwk("ES256", "two", 1)))
    assert "No key" in (await refusal(given, token)).detail


async def test_a_remembered_token_expires_too(tmp_path: Path) -> None:
    clock = [time.time()]
    token = signed(claims("viewer", exp=now(30)), "ES256", "ES256")
    async with knowing(settings(tmp_path), clock) as tokens:
        assert await tokens.rights(token) is await tokens.rights(token)
        clock[0] += 41
        with pytest.raises(ProblemError, match="has expired"):
            await tokens.rights(token)


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ({"kubedaemon": {"namespaces": ["shop"], "roles": ["admin"]}}, {}),
        ({"groups": ["shop"], "https://x.test/r": ["admin"]}, {"namespaces_claim": "groups", "roles_claim": "https://x.test/r"}),
        ({"kubedaemon.namespaces": ["shop"], "kubedaemon.roles": ["admin"], "kubedaemon": {"roles": ["viewer"]}}, {}),
    ],
)  # fmt: skip
async def test_claims_are_flat_or_nested_or_named_otherwise(
    tmp_path: Path, said: dict[str, Any], more: dict[str, str]
) -> None:
    rights = await judged(settings(tmp_path, **more), signed({**said, "exp": now(60)}, "ES256", "ES256"))
    assert ({"shop"}, {Role.ADMIN}) == (set(rights.namespaces), set(rights.roles))


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"keys": {}}', '{"keys": []}', jwks({"kty": "oct", "k": "c2VjcmV0"}), jwks({"kty": "RSA"}),
     jwks({**public_jwk("RS256", "a"), "alg": "HS256"}), jwks({**public_jwk("RS256", "a"), "use": "enc"}),
     jwks({**public_jwk("ES256", "a"), "key_ops": ["sign"]}), jwks({**public_jwk("ES256", "a"), "crv": "P-384"})],
)  # fmt: skip
def test_what_holds_no_key_to_verify_with(text: str) -> None:
    with pytest.raises(ValueError, match=r"it is not a JWKS|not a list|no public key"):
        parse_keys(text.encode())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"JWKS": ""}, "KUBEDAEMON_AUTH_JWKS is empty"),
        ({"ISSUER": "x"}, "KUBEDAEMON_AUTH_ISSUER is set without KUBEDAEMON_AUTH_JWKS"),
        ({"JWKS": "a", "AUDIENCE": " "}, "KUBEDAEMON_AUTH_AUDIENCE is empty"),
        ({"JWKS": "http://idp.example/jwks"}, "use https"),
        ({"JWKS": "ftp://127.0.0.1/jwks"}, "use https"),
        ({"JWKS": "https://me:pw@idp.example/"}, "without a password"),
        ({"JWKS": "https://"}, "neither a file nor an address"),
        ({"JWKS": "https://a:x/"}, "neither a file nor an address"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^KUBEDAEMON_AUTH_") as caught:
        read_auth({f"KUBEDAEMON_AUTH_{name}": value for name, value in given.items()})
    assert said in str(caught.value)


def test_without_settings_there_are_no_tokens() -> None:
    assert None is read_auth({"KUBEDAEMON_URL": "x"})
