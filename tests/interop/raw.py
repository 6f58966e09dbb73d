"""A server that writes its frames by hand, for answers that C-core's corrects before it sends
them (a status that has no code, a pushback that is no number or is given twice) and for resets.

It can't read compressed headers: it knows a call by its message, which is the call's id, and does
not see `grpc-previous-rpc-attempts`.
"""

from __future__ import annotations

import socketserver
import threading
from typing import TYPE_CHECKING

import echo
from plan import OK, Answer

if TYPE_CHECKING:
    from server import Log

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING = 0, 1, 3, 4, 6
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
MESSAGE_PREFIX = 5  # bytes: not compressed, and the length


def start(log: Log) -> int:
    class Connection(socketserver.StreamRequestHandler):
        # Or an answer waits for the acknowledgement of the SETTINGS before it.
        disable_nagle_algorithm = True

        def handle(self) -> None:
            self.rfile.read(len(PREFACE))
            self.wfile.write(frame(SETTINGS))
            while head := self.rfile.read(9):
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
                payload = self.rfile.read(int.from_bytes(head[:3], "big"))
                if kind in (SETTINGS, PING) and not flags & ACK:
                    self.wfile.write(frame(kind, ACK, 0, payload if kind == PING else b""))
                elif kind == DATA and payload:
                    self.wfile.write(respond(log, stream, payload))

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def respond(log: Log, stream: int, payload: bytes) -> bytes:
    call_id = echo.decode(payload[MESSAGE_PREFIX:])
    attempt, answer = log.arrived(call_id, previous="?")
    attempt.received.append(call_id)
    if answer.reset is not None:
        return frame(RST_STREAM, 0, stream, answer.reset.to_bytes(4, "big"))
    if answer.status == 0:
        return reply(stream, payload)
    return frame(
        HEADERS,
        END_STREAM | END_HEADERS,
        stream,
        b"".join([*HEAD, *status(answer, attempt.failure)]),
    )


def reply(stream: int, payload: bytes) -> bytes:
    """The request's own message, which is a response too."""
    head = frame(HEADERS, END_HEADERS, stream, b"".join(HEAD))
    trailers = frame(HEADERS, END_STREAM | END_HEADERS, stream, b"".join(status(OK, "")))
    return head + frame(DATA, 0, stream, payload) + trailers


def status(answer: Answer, message: str) -> list[bytes]:
    return [
        field("grpc-status", str(answer.status)),
        field("grpc-message", message),
        *(field("grpc-retry-pushback-ms", value) for value in answer.pushback),
    ]


def field(name: str, value: str) -> bytes:
    """A literal without indexing and without Huffman code, RFC 7541 section 6.2.2."""
    return b"\0" + b"".join(bytes([len(text)]) + text.encode() for text in (name, value))


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


HEAD = [field(":status", "200"), field("content-type", "application/grpc")]
