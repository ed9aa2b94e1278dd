"""HTTP as an attacker writes it, to the endpoint that handlers call back: nothing is smuggled in, nothing grows."""

from __future__ import annotations

import pytest

from contracts.speech import Complete
from tests.system.framing_scene import SMUGGLED, statuses
from tests.system.test_callback_server import HEAD, PREFIX, Scene, on_both_loops

OUTER = f"POST {PREFIX}/message/complete HTTP/1.1\r\n{HEAD}"
INNER = f"DELETE {PREFIX}/session/state HTTP/1.1\r\n{HEAD}Content-Length: 0\r\n\r\n"


async def everything(scene: Scene, data: str) -> bytes:
    """All that comes back until the server closes."""
    client = await scene.connect()
    await client.send(data.encode("latin-1"))
    return await client.reader.read()


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED)
@on_both_loops
async def test_nothing_is_smuggled_in(scene: Scene, rest: str) -> None:
    assert [400] == statuses(await everything(scene, OUTER + rest + INNER))
    assert [] == scene.listener.heard


@on_both_loops
async def test_heads_that_never_end_hold_up_nobody(scene: Scene) -> None:
    slow = [await scene.connect() for _ in range(50)]
    for client in slow:
        await client.send(OUTER, "X: ", "a" * 4000)
    quick = await scene.connect()
    beat = await quick.ask(f"PUT {PREFIX}/message/progress HTTP/1.1\r\n{HEAD}Content-Length: 0\r\n\r\n")
    assert 200 == beat.status
    for client in slow:
        client.writer.transport.abort()


@on_both_loops
async def test_a_head_in_single_bytes_is_a_head(scene: Scene) -> None:
    client = await scene.connect()
    for character in f"{OUTER}Content-Length: 1\r\n\r\nx":
        await client.send(character)
    assert 200 == (await client.answer()).status
    assert [Complete(None, b"x")] == scene.listener.heard
