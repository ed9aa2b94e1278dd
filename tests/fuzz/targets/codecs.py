"""What components say to each other on the wire, as it could come from a newer or a broken one."""

from __future__ import annotations

from typing import Final

from contracts.errors import PermanentError
from contracts.message import DeadLetter, Message, decode_dead_letter, decode_message, encode
from tests.fuzz.target import Target

FULL: Final = Message(
    namespace="default",
    queue="q",
    id="m1",
    body=b"\0\xff",
    session="Zo\u00eb",
    generation=3,
    content_type="text/plain",
    enqueued_at=1_700_000_000.5,
    meta={"who": "me"},
    headers={"ce-id": "1"},
    expires_at=1.0,
    deliver_at=2.0,
    result_url="http://x/",
    result_format="json",
)


def check_message(data: bytes) -> None:
    try:
        message = decode_message(data)
    except PermanentError as error:
        assert str(error)
        return
    written = encode(message)
    assert written == encode(decode_message(written)), "what was read is written and read as the same"
    assert message.lane.startswith("s:" if message.session is not None else "m:")


def check_dead_letter(data: bytes) -> None:
    try:
        letter = decode_dead_letter(data)
    except PermanentError as error:
        assert str(error)
        return
    written = encode(letter)
    assert written == encode(decode_dead_letter(written))
    assert letter.queue in (letter.kept_by, letter.message.queue)


LETTER: Final = DeadLetter(message=FULL, reason="no", dead_at=5.0, attempts=2, kept_by="parent")
_WORDS: Final = (
    b"\x01",
    b"\x81",
    b"\xa2id",
    b"\xa7session",
    b"\xc0",
    b"\xcb\x7f\xf8" + bytes(6),
    b"\xdb\xff\xff\xff\xff",
    b"\x91" * 99,
)

TARGETS: Final = {
    "wire-message": Target(
        check_message,
        (encode(FULL), encode(Message(namespace="n", queue="q", id="i")), b"\x01\x80", b"\x02" + encode(FULL)[1:]),
        _WORDS,
    ),
    "wire-dead-letter": Target(
        check_dead_letter,
        (encode(LETTER), encode(DeadLetter(message=FULL, reason="", dead_at=0.0)), encode(FULL)),
        _WORDS,
    ),
}
