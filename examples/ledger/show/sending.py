"""Enqueues the transfers over HTTP, as many clients at once would, each account's in the file's order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from http import HTTPStatus
from urllib.parse import quote
from zlib import crc32

import aiohttp

from examples.ledger.serial import Transfer
from examples.ledger.show.errors import DemoError

SENDERS = 16
TRIES = 20
PAUSE_SECONDS = 0.25
TRY_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def shard(transfers: Sequence[Transfer], senders: int = SENDERS) -> list[list[Transfer]]:
    """Share the transfers out: all of one account to one sender, in their order."""
    shares: list[list[Transfer]] = [[] for _ in range(senders)]
    for transfer in transfers:
        shares[crc32(transfer.account.encode()) % senders].append(transfer)
    return shares


async def send(http: aiohttp.ClientSession, queue_url: str, transfers: Sequence[Transfer], run: str) -> None:
    """Enqueue them all, and return when each one is confirmed. ``run`` tells this run's keys from any other's."""
    async with asyncio.TaskGroup() as senders:
        for share in shard(transfers):
            senders.create_task(_send_in_order(http, f"{queue_url}/messages", share, run))


async def _send_in_order(http: aiohttp.ClientSession, url: str, share: Sequence[Transfer], run: str) -> None:
    for transfer in share:
        headers = {
            "Content-Type": "application/json",
            "Kubedaemon-Session": quote(transfer.account, safe=""),
            "Idempotency-Key": f"{run}-{transfer.id}",
        }
        body = json.dumps(asdict(transfer), ensure_ascii=False).encode()
        await _enqueue(http, url, headers, body)


async def _enqueue(http: aiohttp.ClientSession, url: str, headers: dict[str, str], body: bytes) -> None:
    """Until it is confirmed: with an Idempotency-Key, asking again never enqueues twice."""
    said = ""
    for _ in range(TRIES):
        try:
            async with http.post(url, data=body, headers=headers) as answer:
                if answer.status == HTTPStatus.ACCEPTED:
                    return
                said = f"{answer.status} {await answer.text()}"
                if answer.status not in TRY_AGAIN:
                    break
        except aiohttp.ClientConnectionError as error:
            said = repr(error)
        await asyncio.sleep(PAUSE_SECONDS)
    raise DemoError(f"{headers['Idempotency-Key']} could not be enqueued: {said}")
