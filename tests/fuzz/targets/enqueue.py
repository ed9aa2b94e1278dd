"""What senders write: the headers of an enqueue, from the request to the handler's own headers."""

from __future__ import annotations

from typing import Final

from contracts.enqueue import Enqueue, read_headers
from contracts.errors import PermanentError
from contracts.handler import message_heads
from contracts.identity import check_key, keyed_id
from contracts.message import Message, decode_message, encode
from contracts.problems import ProblemError
from contracts.text import check_session, decode_header, encode_header, is_token
from contracts.timestamps import format_time
from tests.fuzz.target import Target, check_sentence, is_text, text_of

HEADS: Final = message_heads("handler:80", "default", "q", "http://127.0.0.1:1/v1/callback")
WALL: Final = 1_700_000_000.0


def headers_in(data: bytes) -> list[tuple[str, str]]:
    """One header a line, as a server gives them that lets nothing but tokens be names."""
    lines = [line.partition(":") for line in text_of(data).split("\n")]
    return [(name, value.strip()) for name, _, value in lines if is_token(name)]


def check_enqueue(data: bytes) -> None:
    given = headers_in(data)
    try:
        asked = read_headers(given)
    except ProblemError as error:
        assert error.problem.status in (400, 422, 501)
        assert is_text(str(error.extra["header"]))
        check_sentence(error.detail)
        return
    check_asked(asked)
    assert asked == read_headers([(name.upper(), value) for name, value in given]) or not data.isascii()
    if not asked.content_type.lower().startswith("application/cloudevents"):  # its body is another target's
        check_message(asked, b"body")


def check_asked(asked: Enqueue) -> None:
    assert asked.session is None or asked.session == check_session(asked.session, "x")
    assert asked.key is None or asked.key == check_key(asked.key)
    assert asked.content_type.isprintable()
    assert asked.content_type.isascii()
    for name, value in [*asked.meta.items(), *asked.headers.items()]:
        assert is_token(name), f"no header can have the name {name!r}"
        assert name == name.lower()
        assert is_text(value)


def head_lines(message: Message) -> list[str]:
    head = HEADS(message, 1, "2026-01-01T00:00:00.000Z", "token").decode("ascii")
    return head.removesuffix("\r\n\r\n").split("\r\n")


def check_message(asked: Enqueue, body: bytes) -> Message:
    """What was asked for is a message: it survives the wire, can be shown, and the handler is told all of it."""
    message = asked.message("default", "q", "m", WALL, body)
    assert message == decode_message(encode(message))
    assert message.deliver_at == 0 or message.deliver_at > WALL
    assert message.expires_at == 0 or message.expires_at >= max(message.deliver_at, WALL)
    assert format_time(message.deliver_at)
    assert message.session is None or message.session == check_session(message.session, "x")
    check_head(message)
    return message


def check_head(message: Message) -> None:
    """In so many headers and no more."""
    lines, plain = head_lines(message), head_lines(Message(namespace="default", queue="q", id="m"))
    assert len(plain) + len(message.meta) + len(message.headers) + (message.session is not None) == len(lines)
    told = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    said = {f"kubedaemon-meta-{name}": value for name, value in message.meta.items()} | message.headers
    if message.session is not None:
        said["kubedaemon-session"] = message.session
    for name, value in said.items():
        assert value == decode_header(told[name], name)


def check_text(data: bytes) -> None:
    """A header value: text or a refusal by name, and whatever is text comes back as it was."""
    value = text_of(data)
    encoded = encode_header(value)
    assert encoded.isascii()
    assert encoded.isprintable()
    assert encoded == encoded.strip()
    if is_text(value):
        assert value == decode_header(encoded, "x")
    try:
        decoded = decode_header(value, "The-Header")
    except PermanentError as error:
        assert str(error).startswith("The-Header: ")
        check_sentence(str(error))
    else:
        assert is_text(decoded)
        assert decoded == decode_header(encode_header(decoded), "x")


def check_idempotency_key(data: bytes) -> None:
    key = text_of(data)
    try:
        assert key == check_key(key)
    except PermanentError as error:
        assert not (1 <= len(key) <= 255 and all("!" <= character <= "~" for character in key))
        check_sentence(str(error))
    else:
        found = keyed_id(b"secret", "default", "q", key)
        assert 32 == len(found)
        assert found not in (keyed_id(b"secret", "default", "r", key), keyed_id(b"secret", "default", "q", key + "x"))


TARGETS: Final = {
    "enqueue-headers": Target(
        check_enqueue,
        (
            b"Kubedaemon-Session: a%2520b\nContent-Type: text/plain\nIdempotency-Key: k1",
            b"Kubedaemon-Meta-Who: Zo%C3%AB\nKubedaemon-Meta-who-else: x\nHost: x",
            b"Ce-Id: %41\nce-partitionkey: p\nce-type: t",
            b"Traceparent: 00-x\ntracestate: a=50%\ntracestate: b=2",
            b"Content-Encoding: gzip",
            b"Content-Encoding: identity\nContent-Type: application/cloudevents+json",
            b"Kubedaemon-Delay: 5s\nKubedaemon-Ttl: 1.5h",
            b"Kubedaemon-Deliver-At: 2999-12-31T23:59:59+14:00\nKubedaemon-Ttl: 36600d",
            b"Kubedaemon-Deliver-At: 9999-12-31T23:59:59Z\nKubedaemon-Delay: 1s",
            b"Kubedaemon-Sesion: s",
            b"Kubedaemon-Session: a%2\nKubedaemon-Attempt: 3",
        ),
        (
            b"Kubedaemon-Session: ",
            b"Kubedaemon-Meta-",
            b"Idempotency-Key: ",
            b"Content-Type: ",
            b"Ce-",
            b"Traceparent: ",
            b"Kubedaemon-Ttl: ",
            b"Kubedaemon-Deliver-At: ",
            b"9999-12-31T23:59:59Z",
            b"%0d%0aX: y",
            b"%ED%A0%80",
            b"\xed\xb3\xbf",
        ),
    ),
    "header-text": Target(
        check_text, (b"plain text", b"Zo\xc3\xab", b"%C3%AB%20", b" a ", b"%0d%0aX: y"), (b"%", b"%E2")
    ),
    "idempotency-key": Target(check_idempotency_key, (b"order-17", b"x" * 255, b"k\x7f"), (b"x" * 128,)),
}
