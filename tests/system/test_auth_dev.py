"""``kubedaemon dev`` behind tokens, and the command line that calls it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from kubedaemon.cli.main import main
from kubedaemon.dev import runtime
from tests.system.auth_scene import claims, jwks, public_jwk, signed
from tests.system.dev_scene import KUBEDAEMON, PATIENCE_SECONDS, ROOT, Stage, staged


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path) as scene:
        yield scene


def test_dev_lets_in_only_those_with_a_token(stage: Stage) -> None:
    path = stage.directory / "jwks.json"
    path.write_text(jwks(public_jwk("EdDSA", "one")))
    sender = signed(claims("sender", iss="us"))
    with stage.dev(env=stage.environment(KUBEDAEMON_AUTH_JWKS=str(path), KUBEDAEMON_AUTH_ISSUER="us")) as dev:
        assert 'Authorization: Bearer $KUBEDAEMON_TOKEN"' in dev.says("curl")

        def run(token: str, *words: str) -> tuple[int, str]:
            environment = {**os.environ, "KUBEDAEMON_TOKEN": token, "KUBEDAEMON_URL": dev.url}
            ended = subprocess.run(
                [*KUBEDAEMON, *words],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_SECONDS,
            )
            return ended.returncode, ended.stderr

        assert (0, "") == run(sender, "send", "default", "hello")
        assert_refused(run("", "queues"), "There is no token", "Give a token with --token")
        assert_refused(run(signed(claims("sender")), "queues"), "lacks the claim 'iss'", "Give a token with --token")
        assert_refused(run(sender, "queues"), "the role 'viewer' or 'admin'", "Ask for one that does")
        assert_refused(run(sender, "send", "default", "x", "--namespace", "shop"), "does not list namespace 'shop'")


def test_keys_that_are_not_there_end_the_start(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEDAEMON_AUTH_JWKS", "/nowhere/jwks.json")
    expected = "kubedaemon: KUBEDAEMON_AUTH_JWKS: /nowhere/jwks.json: it cannot be read: No such file or directory\n"
    assert (2, expected) == stage.refused("--port", "0")


def assert_refused(ended: tuple[int, str], *words: str) -> None:
    assert (1, []) == (ended[0], [word for word in words if word not in ended[1]]), ended[1]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("JWKS", "http://idp.example/keys", "KUBEDAEMON_AUTH_JWKS: whoever can change what idp.example answers"),
        ("AUDIENCE", "us", "KUBEDAEMON_AUTH_AUDIENCE is set without KUBEDAEMON_AUTH_JWKS"),
    ],
)
def test_a_wrong_setting_ends_the_start(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str) -> None:
    monkeypatch.setattr(runtime, "set_up_logging", lambda form: None)
    monkeypatch.setenv(f"KUBEDAEMON_AUTH_{variable}", value)
    ended = CliRunner().invoke(main, ["dev", "--port", "0"])
    assert (2, True) == (ended.exit_code, said in ended.stderr), ended.stderr
