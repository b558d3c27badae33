"""A proxy before DynamoDB Local that breaks what passes, and the bus and queue of a soak behind the same address.

    python -m tests.soak.proxy RUN_DIRECTORY PORT UPSTREAM_PORT SEED

A request that says who it is (`x-soak`) meets the fault that the seed has for it: the answer is cut after the request took
effect; it is throttled; it is delayed past the client's time-out, before it takes effect or after; or the connection is
reset, now or while it idles. Others pass unharmed. What reaches the bus is appended to `bus.jsonl`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from tests.soak.plan import SPEED

READ_SECONDS = 0.5  # the functions' time-out in a soak
DELAY_SECONDS = 0.8
VISIBLE_AFTER = 3.0  # seconds until a message that was taken and not deleted comes again
DELIVERED_TWICE = 0.03

CUT, THROTTLED, LATE, SLOW, RESET, IDLE_RESET = "cut", "throttled", "late write", "late answer", "reset", "idle reset"
SHARES = {CUT: 0.10, THROTTLED: 0.05, LATE: 0.005, SLOW: 0.005, RESET: 0.003, IDLE_RESET: 0.01}


def fault_of(seed: int, who: str) -> str:
    """The fault that a request meets; empty: none."""
    drawn = int.from_bytes(blake2b(f"{seed}/{who}".encode(), digest_size=8).digest()) / 2**64
    for fault, share in SHARES.items():
        if drawn < share:
            return fault
        drawn -= share
    return ""


class Message(NamedTuple):
    """A message of the queue."""

    id: str
    body: str
    receives: int
    visible_at: float


class Backend:
    """Where requests go: DynamoDB Local, the bus, the queue."""

    def __init__(self, run: Path, upstream: int, seed: int) -> None:
        self.upstream = upstream
        self.seed = seed
        self.bus = (run / "bus.jsonl").open("a")
        self.dead = (run / "dead.jsonl").open("a")
        self.messages: dict[str, Message] = {}
        self.seen: Counter[str] = Counter()
        self.told: dict[str, bytes] = {}  # by token: what DynamoDB remembers for ten minutes, and Local until it ends
        self.transactions = 0
        self.idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self.generation = 0
        self.away = False

    async def answer(self, target: str, body: bytes) -> bytes:
        """The whole answer to a request, as bytes. Raises OSError where the database is away."""
        service, _, operation = target.partition(".")
        if service.startswith("DynamoDB"):
            return await self._of_database(target, body)
        found = {
            "PutEvents": self._put_events,
            "SendMessage": self._send,
            "SendMessageBatch": self._send_batch,
            "ReceiveMessage": self._receive,
            "DeleteMessages": self._delete,
            "Told": self._told,
            "Away": self._go_away,
            "Restarted": self._restarted,
        }[operation](json.loads(body))
        return http(json.dumps(found).encode())

    async def _of_database(self, target: str, body: bytes) -> bytes:
        token = ""
        if target.endswith(".TransactWriteItems"):
            token = json.loads(body).get("ClientRequestToken", "")
            if token in self.told and self.generation:
                return self.told[token]
        if self.away:
            raise OSError("the database is about to be restarted")
        self.transactions += bool(token)
        try:
            answer = await self._forwarded(target, body)
        finally:
            self.transactions -= bool(token)
        if token and answer.startswith(b"HTTP/1.1 200"):
            self.told[token] = answer
        return answer

    async def _forwarded(self, target: str, body: bytes) -> bytes:
        generation = self.generation
        try:
            reader, writer = self.idle.pop()
        except IndexError:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            head = (
                f"POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: {target}\r\ncontent-type: application/x-amz-json-1.0\r\n"
                "authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, "
                "SignedHeaders=host, Signature=0\r\n"
                f"content-length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = await _answer_of(reader)
        except BaseException:
            writer.close()
            raise
        if generation == self.generation:
            self.idle.append((reader, writer))
        else:
            writer.close()
        return answer

    # ---------------------------------------------------------------- the bus and the queue

    def _put_events(self, request: Mapping[str, Any]) -> Any:
        for entry in request["Entries"]:
            self.bus.write(json.dumps([entry["DetailType"], json.loads(entry["Detail"])]) + "\n")
        self.bus.flush()
        return {"FailedEntryCount": 0, "Entries": [{"EventId": uuid.uuid4().hex} for _ in request["Entries"]]}

    def _send(self, request: Mapping[str, Any]) -> Any:
        if "dead" in request["QueueUrl"]:
            self.dead.write(request["MessageBody"] + "\n")
            self.dead.flush()
            return {"MessageId": "dead"}
        id = uuid.uuid4().hex
        at = time.monotonic() + request.get("DelaySeconds", 0) / SPEED
        self.messages[id] = Message(id, request["MessageBody"], 0, at)
        return {"MessageId": id}

    def _send_batch(self, request: Mapping[str, Any]) -> Any:
        sent = [
            {"Id": entry["Id"], **self._send({**entry, "QueueUrl": request["QueueUrl"]})}
            for entry in request["Entries"]
        ]
        return {"Successful": sent, "Failed": []}

    def _receive(self, request: Mapping[str, Any]) -> Any:
        now, found = time.monotonic(), []
        for message in list(self.messages.values()):
            if message.visible_at <= now:
                taken = message._replace(receives=message.receives + 1, visible_at=now + VISIBLE_AFTER)
                self.messages[message.id] = taken
                found.append({"id": taken.id, "body": taken.body, "receives": taken.receives})
                if len(found) == request["most"]:
                    break
        return {"messages": found}

    def _delete(self, request: Mapping[str, Any]) -> Any:
        for id in request["ids"]:
            message = self.messages.pop(id, None)
            if message and fault_chance(self.seed, id) < DELIVERED_TWICE and message.receives == 1:
                self.messages[id] = message  # a queue delivers at least once
        return {}

    def _told(self, _: Mapping[str, Any]) -> Any:
        return {"faults": self.seen, "messages": len(self.messages), "transactions": self.transactions}

    def _go_away(self, _: Mapping[str, Any]) -> Any:
        self.away = True
        return self._told(_)

    def _restarted(self, _: Mapping[str, Any]) -> Any:
        self.away = False
        self.generation += 1
        while self.idle:
            self.idle.pop()[1].close()
        return {}


def fault_chance(seed: int, who: str) -> float:
    """A number from 0 to 1 that the seed has for this name."""
    return int.from_bytes(blake2b(f"{seed}:{who}".encode(), digest_size=8).digest()) / 2**64


def http(content: bytes, status: str = "200 OK") -> bytes:
    """A whole answer with this content."""
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content


def header(head: bytes, name: bytes) -> str:
    """A header's value; empty where there is none."""
    for line in head.split(b"\r\n"):
        if line[: len(name) + 1].lower() == name + b":":
            return line[len(name) + 1 :].strip().decode()
    return ""


async def _answer_of(reader: asyncio.StreamReader) -> bytes:
    """A whole answer of the database, with its length; long ones come in chunks."""
    head = await reader.readuntil(b"\r\n\r\n")
    if header(head, b"transfer-encoding") != "chunked":
        return head + await reader.readexactly(int(header(head, b"content-length") or 0))
    content = b""
    while True:
        size = int(await reader.readuntil(b"\r\n"), 16)
        content += (await reader.readexactly(size + 2))[:-2]
        if not size:
            break
    lines = [line for line in head.rstrip().split(b"\r\n") if not line.lower().startswith(b"transfer-encoding")]
    return b"\r\n".join([*lines, b"content-length: %d" % len(content), b"", content])


_THROTTLED = {
    service: http(json.dumps({"__type": f"com.amazonaws#{code}"}).encode(), "400 Bad Request")
    for service, code in (
        ("DynamoDB", "ProvisionedThroughputExceededException"),
        ("AmazonSQS", "RequestThrottled"),
        ("AWSEvents", "ThrottlingException"),
    )
}
_AWAY = http(json.dumps({"__type": "InternalServerError"}).encode(), "500 Internal Server Error")


class Proxy:
    """Serves connections of clients."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._serving: set[asyncio.Task[None] | None] = set()  # the loop itself keeps none of them alive

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """All requests of one connection."""
        task = asyncio.current_task()
        self._serving.add(task)
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(int(header(head, b"content-length") or 0))
                who = header(head, b"x-soak")
                fault = fault_of(self.backend.seed, who) if who else ""
                if fault:
                    self.backend.seen[fault] += 1
                if not await self._one(header(head, b"x-amz-target"), body, fault, writer):
                    break
        writer.close()
        self._serving.discard(task)

    async def _one(self, target: str, body: bytes, fault: str, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays open."""
        if fault == RESET:
            return _hung_up(writer)
        if fault == THROTTLED:
            writer.write(_THROTTLED[target.partition("_")[0].partition(".")[0]])
            return True
        if fault == LATE:
            await asyncio.sleep(DELAY_SECONDS)
        try:
            answer = await self.backend.answer(target, body)
        except (OSError, asyncio.IncompleteReadError):
            self.backend.seen["database away"] += 1
            answer = _AWAY  # says nothing of whether it was done
        if fault == CUT:
            return _hung_up(writer)
        if fault == SLOW:
            await asyncio.sleep(DELAY_SECONDS)
        writer.write(answer)
        await writer.drain()
        if fault == IDLE_RESET:
            await asyncio.sleep(0.002)
            return _hung_up(writer)
        return True


def _hung_up(writer: asyncio.StreamWriter) -> bool:
    writer.transport.abort()
    return False


async def main(run: str, port: str, upstream: str, seed: str) -> None:
    """Serves until it is ended."""
    proxy = Proxy(Backend(Path(run), int(upstream), int(seed)))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", int(port), limit=8_000_000, backlog=200)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
