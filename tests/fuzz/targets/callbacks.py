"""What handlers write beside their answers: the answer to /init, the answers of a batch, and tokens."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.answers import Answer, NoAnswer
from contracts.errors import PermanentError
from contracts.handler import NO_OPTIONS, read_options
from contracts.handler_batch import read_batch_answer
from contracts.payloads import Form, payload_member, read_payload
from contracts.tokens import AttemptToken, ReplicaToken, derive_keys, read_token, signer
from tests.fuzz.target import Target, check_sentence
from tests.fuzz.targets.answers import check_decision

IDS: Final = ("a", "b", "a")
KEYS: Final = derive_keys([b"k" * 32, b"o" * 32])
OTHERS: Final = derive_keys([b"x" * 32])
SIGN: Final = signer(KEYS)
SIGN_OTHERS: Final = signer(OTHERS)
ATTEMPT: Final = AttemptToken("default", "q", "m1", 1, 2, 1 << 40, 1_700_000_000)
REPLICA: Final = ReplicaToken("default", "q", "r", 1_700_000_000)


def check_options(data: bytes) -> None:
    try:
        options = read_options(data)
    except PermanentError as error:
        check_sentence(str(error))
        return
    if options.batch is not None:
        assert 1 <= options.batch.max_messages <= 1000
        assert 0 <= options.batch.max_wait_ms <= 60_000
    assert options == read_options(msgspec.json.encode(options))
    assert data.lstrip().startswith(b"{") or options is NO_OPTIONS


def check_batch(data: bytes) -> None:
    """The first byte chooses the form; each message gets its own answer, or the batch failed as a whole."""
    form: Form = "msgpack" if data[:1] == b"m" else "json"
    found = read_batch_answer(Answer(200, body=data[1:]), IDS, form)
    if isinstance(found, NoAnswer):
        assert "garbage" == found.kind
        check_sentence(found.detail)
        check_decision(found)
        return
    assert len(IDS) == len(found)
    for answer in found:
        assert isinstance(answer, Answer)
        assert answer.content_type is None or (answer.content_type.isascii() and answer.content_type.isprintable())
        check_decision(answer)


def check_payload(data: bytes) -> None:
    """Whatever a body is, it stands beside other members, and what is read back is the same."""
    forms: tuple[Form, ...] = ("json", "msgpack")
    for form in forms:
        codec = msgspec.json if form == "json" else msgspec.msgpack
        name, value = payload_member(data, form)
        shown = codec.decode(codec.encode({name: value}))
        body, _ = read_payload(shown.get("data", msgspec.UNSET), shown.get("data_base64"))
        assert data == body
    try:
        read_payload(msgspec.UNSET, data.decode("latin-1"))
    except PermanentError as error:
        check_sentence(str(error))


def check_token(data: bytes) -> None:
    """No bytes are a token but those that were signed, letter by letter."""
    text = data.decode("latin-1")
    for keys, sign in ((KEYS, SIGN), (OTHERS, SIGN_OTHERS)):
        found = read_token(keys, text)
        assert found is None or text == sign(found)


def packed(*entries: dict[str, object]) -> bytes:
    return b"m" + msgspec.msgpack.encode(entries)


TARGETS: Final = {
    "init-options": Target(
        check_options,
        (
            b"{}",
            b' {"async": true, "batch": {"maxMessages": 10, "maxWaitMs": 2.5}, "format": "msgpack"}',
            b'{"batch": {"maxMessages": 0}}',
            b'{"batch": {"maxMesages": 5}}',
            b"ok",
            b'{"batch": {"\x7f": 1}}',
        ),
        (b'"async"', b'"batch"', b'"maxMessages"', b"1e999", b"null", b"[" * 50, b"\\ud800"),
    ),
    "batch-answer": Target(
        check_batch,
        (
            b'j[{"id": "a", "status": 200}, {"id": "b", "status": 503, "retry_after": 7}, {"id": "a", "outcome": "ack"}]',
            b'j[{"id":"a","status":200,"data":{"x":[1.5,null]}},{"id":"b","status":200,"data":"text"},'
            b'{"id":"a","status":422,"data_base64":"aGk=","content_type":"a/b"}]',
            b'j[{"id": "a"}, {"id": "b"}, {"id": "c"}]',
            b"j{}",
            b'j[{"id":"\\u0007","status":200},{"id":"b","status":200},{"id":"a","status":200}]',
            packed(
                {"id": "a", "status": 200, "data": b"\xff"}, {"id": "b", "outcome": "retry"}, {"id": "a", "status": 1}
            ),
        ),
        (
            b'"id"',
            b'"a"',
            b'"status"',
            b'"data"',
            b'"retry_after"',
            b"1e400",
            b"18446744073709551616",
            b"[" * 50,
            b"\\ud800",
        ),
    ),
    "payload": Target(check_payload, (b"text", b"\xff\x00", b"aGk=", b"Zo\xc3\xab", b"\xed\xa0\x80"), (b"=", b"\xc3")),
    "token": Target(
        check_token,
        (SIGN(ATTEMPT).encode(), SIGN(REPLICA).encode(), SIGN_OTHERS(ATTEMPT).encode(), b"AAAA"),
        (b"=", b"-", b"_", b"+", b"/"),
    ),
}
