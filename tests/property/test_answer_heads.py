"""The head of an answer says what it says to the standard library's http.client (docs/decisions/0009).

Tollgate may refuse a head that http.client takes although it is none; it may not read it as anything else.
"""

from __future__ import annotations

import http.client
import io
import socket
from typing import cast

from hypothesis import example, given
from hypothesis import strategies as st

from tollgate.aws.connections import LONGEST_LINE, MOST_HEADERS, _Response


class Socket:
    """As much of a socket as an answer is read from."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._sent)


def read(kind: type[http.client.HTTPResponse], sent: bytes) -> tuple[http.client.HTTPResponse, bytes] | None:
    """What is read, with its body; None for what is no answer."""
    answer = kind(cast("socket.socket", Socket(sent)), method="POST")
    try:
        answer.begin()
        return answer, answer.read()
    except http.client.HTTPException:
        return None


BODIES = st.binary(max_size=40)
NAMES = st.sampled_from(["Date", "x-amz-crc32", "Content-Type", "X-Amzn-RequestId", "connection", "CONNECTION"])
VALUES = st.one_of(
    st.sampled_from(["close", "Keep-Alive", "keep-alive, close", "", "Tue, 01 Dec 2026 14:00:00 GMT"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12),
)
ENDS = st.sampled_from(["\r\n", "\n"])


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Whole answers, their head and the rest: with a length, in chunks, or up to the connection's end."""
    end = draw(ENDS)
    body = draw(BODIES)
    status = draw(st.sampled_from([200, 202, 204, 304, 400, 413, 500, 503]))
    reason = draw(st.sampled_from(["", " OK", " Bad Request: see below"]))
    headers = draw(st.lists(st.tuples(NAMES, VALUES), max_size=6, unique_by=lambda pair: pair[0].lower()))
    framing = draw(st.sampled_from(["length", "chunks", "end"]))
    if framing == "length":
        headers.insert(draw(st.integers(0, len(headers))), ("Content-Length", f"{len(body)}"))
    elif framing == "chunks":
        headers.insert(draw(st.integers(0, len(headers))), ("Transfer-Encoding", "chunked"))
        cut = draw(st.integers(0, len(body)))
        pieces = [piece for piece in (body[:cut], body[cut:]) if piece]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    gap = draw(st.sampled_from(["", " ", "  \t"]))
    head = f"HTTP/1.{draw(st.sampled_from('01'))} {status}{reason}{end}" + "".join(
        f"{name}:{gap}{value}{end}" for name, value in headers
    )
    return (head + end).encode("latin-1"), body


@given(answers())
@example((b"HTTP/1.1 200 OK\r\n\r\n", b""))
def test_a_head_is_read_as_the_library_reads_it(whole: tuple[bytes, bytes]) -> None:
    sent = b"".join(whole)
    ours, theirs = read(_Response, sent), read(http.client.HTTPResponse, sent)
    assert ours
    assert theirs
    (answer, body), (expected, expected_body) = ours, theirs
    assert isinstance(answer, _Response)
    assert body == expected_body
    told = (answer.status, answer.version, answer.chunked, answer.length)
    assert told == (expected.status, expected.version, expected.chunked, expected.length)
    assert answer.will_close >= expected.will_close  # HTTP/1.0 with both words: http.client keeps it open
    assert answer.version == 10 or answer.will_close == expected.will_close
    assert answer.fields == {name.lower(): value.strip() for name, value in expected.headers.items()}


@given(answers(), st.data())
def test_a_head_that_is_cut_is_no_answer(whole: tuple[bytes, bytes], data: st.DataObject) -> None:
    head, _ = whole
    assert read(_Response, head[: data.draw(st.integers(0, len(head) - 1))]) is None


@given(answers(), st.data())
def test_a_head_that_was_damaged_is_refused_or_says_the_same(whole: tuple[bytes, bytes], data: st.DataObject) -> None:
    """One byte of it is another one: what is read is what http.client reads, or nothing."""
    head, rest = whole
    at = data.draw(st.integers(0, len(head) - 1))
    damaged = head[:at] + bytes([data.draw(st.integers(0, 255))]) + head[at + 1 :] + rest
    ours, theirs = read(_Response, damaged), read(http.client.HTTPResponse, damaged)
    if ours is not None and theirs is not None:
        assert (ours[0].status, ours[1]) == (theirs[0].status, theirs[1])


@given(
    st.sampled_from(
        [
            b"HTTP/2 200\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n continued: 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 1\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n{}",
            b"HTTP/1.1 200 OK\r\nx: " + b"x" * LONGEST_LINE + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"".join(b"x%d: 1\r\n" % n for n in range(MOST_HEADERS + 1)) + b"\r\n",
        ]
    )
)
def test_what_is_no_head_is_refused(sent: bytes) -> None:
    assert read(_Response, sent) is None
