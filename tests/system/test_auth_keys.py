"""Keys that change while they are used: rotated, served by somebody who is away, taken back."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from contracts.errors import ConfigurationError
from contracts.problems import ProblemError
from dispatcher.adapters import jwks as keys
from dispatcher.adapters.auth import JwtTokens
from dispatcher.auth_settings import AuthSettings
from dispatcher.core.access import Role
from tests.system.auth_scene import claims, issuing, jwks, knowing, public_jwk, signed

OLD = jwks(public_jwk("EdDSA", "one"))
NEW = jwks(public_jwk("EdDSA", "two", 1))
TOKEN_OLD = signed(claims("viewer"))
TOKEN_NEW = signed(claims("admin"), kid="two", number=1)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown key is asked for at once, each time."""
    monkeypatch.setattr(keys, "UNKNOWN_KEY_SECONDS", 0.0)


async def refused(tokens: JwtTokens, token: str) -> str:
    with pytest.raises(ProblemError) as caught:
        await tokens.rights(token)
    return caught.value.detail


@pytest.mark.usefixtures("eager")
async def test_a_rotated_key_is_found_and_the_old_one_is_over() -> None:
    async with issuing(OLD) as issuer, knowing(AuthSettings(issuer.url)) as tokens:
        assert {Role.VIEWER} == (await tokens.rights(TOKEN_OLD)).roles
        issuer.body = NEW
        assert {Role.ADMIN} == (await tokens.rights(TOKEN_NEW)).roles
        assert "No key" in await refused(tokens, TOKEN_OLD), "what was remembered went with its key"


async def test_strangers_cannot_have_the_issuer_asked_again_and_again() -> None:
    async with issuing(OLD) as issuer, knowing(AuthSettings(issuer.url)) as tokens:
        issuer.body = NEW
        told = await asyncio.gather(*(refused(tokens, TOKEN_NEW) for _ in range(20)))
        assert (20, 1) == (sum("No key" in one for one in told), issuer.asked)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(("status", "body"), [(500, NEW), (302, NEW), (200, "nonsense"), (200, "x" * 300_000)])
async def test_an_issuer_that_is_away_leaves_the_last_keys(
    status: int, body: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with issuing(OLD) as issuer, knowing(AuthSettings(issuer.url)) as tokens:
        issuer.status, issuer.body = status, body
        assert "No key" in await refused(tokens, TOKEN_NEW)
        assert "No key" in await refused(tokens, TOKEN_NEW)
        assert {Role.VIEWER} == (await tokens.rights(TOKEN_OLD)).roles
        issuer.status, issuer.body = 200, NEW
        assert {Role.ADMIN} == (await tokens.rights(TOKEN_NEW)).roles
    said = capsys.readouterr().out
    assert (1, 1) == (said.count("the last ones stay"), said.count("can be read again"))


@pytest.mark.parametrize("remote", [False, True])
async def test_keys_are_read_again_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: bool
) -> None:
    monkeypatch.setattr(keys, "URL_SECONDS" if remote else "FILE_SECONDS", 0.01)
    path = tmp_path / "jwks.json"
    path.write_text(OLD)
    async with issuing(OLD) as issuer, knowing(AuthSettings(issuer.url if remote else str(path))) as tokens:
        await tokens.rights(TOKEN_OLD)
        issuer.body = NEW
        (tmp_path / "new").write_text(NEW)
        os.replace(tmp_path / "new", path)  # noqa: PTH105
        async with asyncio.timeout(10):
            while True:  # each look is a whole judgement; it comes to an end once the key is gone
                try:
                    await tokens.rights(TOKEN_OLD)
                except ProblemError:
                    break
                await asyncio.sleep(0.005)
        assert {Role.ADMIN} == (await tokens.rights(TOKEN_NEW)).roles


async def test_without_any_keys_it_does_not_start(tmp_path: Path) -> None:
    async with issuing("{}") as issuer:
        issuer.status = 503
        for place, said in (
            (issuer.url, "it answers 503"),
            ("http://127.0.0.1:1/jwks", "it does not answer"),
            (str(tmp_path / "none"), "No such file"),
        ):
            with pytest.raises(ConfigurationError, match=r"^KUBEDAEMON_AUTH_JWKS: ") as caught:
                await JwtTokens(AuthSettings(place)).start()
            assert said in str(caught.value)
