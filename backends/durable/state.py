"""One queue's state for the fence, which knows what has changed of it since the last commit.

Decisions are made in memory; a commit writes what they changed as it is then. Members, leases, locks, the plan and what
replicas said of older partitions are not kept: no replica outlives this process, and the next ones say it anew. A
new life of the store, counted in the file, keeps their epochs apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from backends.durable.journal import Journal
from backends.durable.log import KeptLog
from backends.durable.schema import SHIFT, key_range
from backends.embedded.state import Kept, QueueState
from contracts.fence import StateWrite
from contracts.records import SessionState, State
from contracts.replies import Push

RECORD: Final = "INSERT INTO records (key, body) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET body = excluded.body"
SETTLED: Final = "UPDATE records SET until = ?, settled = ? WHERE key = ?"
DROP: Final = "DELETE FROM records WHERE key = ?"
SESSION: Final = "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)"
END_SESSION: Final = "DELETE FROM sessions WHERE queue = ? AND session = ?"
RECORDS: Final = "SELECT key, body, until, settled FROM records WHERE key BETWEEN ? AND ? ORDER BY key"
SESSIONS: Final = "SELECT session, until, body FROM sessions WHERE queue = ? ORDER BY until"

_encode = msgspec.msgpack.Encoder().encode
_decode_record = msgspec.msgpack.Decoder(Kept).decode
_decode_session = msgspec.msgpack.Decoder(SessionState).decode


class KeptState(QueueState):
    """``ahead`` is by how much the wall clock is ahead of the monotonic one: on disk, times are the wall's."""

    def __init__(
        self,
        journal: Journal,
        number: int,
        push: Callable[[str, Push], None],
        ended: Callable[[str], None],
        *,
        life: int,
        ahead: Callable[[], float],
        log_name: str | None = None,
    ) -> None:
        super().__init__(push, ended, life)
        self.number = number
        self.journal = journal
        self.ahead = ahead
        self.log: KeptLog = KeptLog(journal, number, log_name)
        self._changed: dict[str, None] = {}
        self._settled: list[tuple[float, str, int]] = []

    def load(self, wall: float) -> None:
        """What the file has. An attempt that was open then died with its replica: an interruption."""
        ahead, expiry = self.ahead(), []
        for key, body, until, settled in self.journal.read(RECORDS, key_range(self.number)):
            record = _decode_record(body)
            self.records[record.id] = record
            self.by_serial[record.serial] = record.id
            self.serial = key & ((1 << SHIFT) - 1)
            if until is not None and settled == record.generation:
                expiry.append((until - ahead, record.id, settled))
            self._take_up(record, wall)
        self.expiry.extend(sorted(expiry))
        for session, until, body in self.journal.read(SESSIONS, (self.number,)):
            self.sessions[session] = (_decode_session(body), until - ahead)

    def _take_up(self, record: Kept, wall: float) -> None:
        lane = f"s:{record.session}" if record.session is not None else f"m:{record.id}"
        if record.blocks or (record.ending is None and (record.attempt or record.in_place)):
            self.heads[lane] = record.id
        if record.open_by is not None:
            self.interrupt(record, wall)
            record.progress, record.accepted = None, False
            self.become(record, State.RETRYING, wall)

    def change(self, message_id: str) -> None:
        """The record of this message goes into the next commit."""
        self._changed[message_id] = None
        self.journal.change()

    def become(self, record: Kept, state: State, at: float) -> None:
        super().become(record, state, at)
        self.change(record.id)

    def settle(self, count: int) -> None:
        """The last so many that are to expire were settled just now."""
        if count:
            self._settled += [self.expiry[n] for n in range(-count, 0)]
            self.journal.change()

    def save(self) -> None:
        """Writes what has changed."""
        write, records, base = self.journal.write, self.records, self.number << SHIFT
        changed, self._changed = self._changed, {}
        for message_id in changed:
            record = records.get(message_id)
            if record is not None:
                write(RECORD, (base + record.serial, _encode(record)))
        settled, self._settled = self._settled, []
        ahead = self.ahead() if settled else 0.0
        for until, message_id, generation in settled:
            record = records.get(message_id)
            if record is not None:
                write(SETTLED, (until + ahead, generation, base + record.serial))
        self.log.save()

    def drop(self, message_id: str) -> None:
        record = self.records.get(message_id)
        if record is not None:
            self.journal.write(DROP, ((self.number << SHIFT) + record.serial,))
        super().drop(message_id)

    def expire(self, now: float) -> None:
        for session, (_, until) in self.sessions.items():
            if until > now:
                break
            self.journal.write(END_SESSION, (self.number, session))
        super().expire(now)

    def write(self, session: str, write: StateWrite, now: float) -> None:
        super().write(session, write, now)
        if write.state is None:
            self.journal.write(END_SESSION, (self.number, session))
        else:
            until = now + write.keep_seconds + self.ahead()
            self.journal.write(SESSION, (self.number, session, until, _encode(write.state)))
