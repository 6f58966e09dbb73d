"""The servers that judge both clients: three of C-core's and that of raw.py.

Prints their addresses as JSON, serves until its standard input ends, and prints what reached it:
for each call, named by its metadata `x-call-id`, a list of attempts.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent import futures
from dataclasses import asdict, dataclass

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

import echo
import raw
from plan import CODES, HALF_CLOSE, Answer
from scenarios import SCENARIOS

SCRIPTS = {scenario.name: scenario.script for scenario in SCENARIOS}

OPTIONS: dict[str, list[tuple[str, int]]] = {
    "core": [],
    # Streams that are over stay allocated for a moment, and for as long C-core refuses new ones,
    # even within the limit that it announced.
    "refusing": [("grpc.max_concurrent_streams", 2)],
    "aging": [
        ("grpc.max_connection_age_ms", 200),
        ("grpc.max_connection_age_grace_ms", 10_000),
    ],
}


@dataclass
class Attempt:
    """What reached a server."""

    number: int
    arrival: float
    at_ms: float  # since the first attempt's arrival
    previous: str | None  # grpc-previous-rpc-attempts
    timeout_ms: float | None  # what was left of grpc-timeout
    received: list[str]

    @property
    def failure(self) -> str:
        return f"failure of attempt {self.number}"


class Log:
    """The attempts of each call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, list[Attempt]] = defaultdict(list)

    def arrived(
        self, call_id: str, previous: str | None = None, timeout_s: float | None = None
    ) -> tuple[Attempt, Answer]:
        """Notes an attempt that arrives now, and says how its scenario answers it."""
        now = time.monotonic()
        timeout_ms = None if timeout_s is None else timeout_s * 1_000
        with self._lock:
            attempts = self._calls[call_id]
            first = attempts[0].arrival if attempts else now
            at_ms = (now - first) * 1_000
            attempts.append(Attempt(len(attempts) + 1, now, at_ms, previous, timeout_ms, []))
            script = SCRIPTS[call_id.split("/")[1]]
            return attempts[-1], script[min(len(attempts), len(script)) - 1]

    def report(self) -> dict[str, list[dict]]:
        with self._lock:
            calls = self._calls.items()
            return {call_id: [asdict(attempt) for attempt in it] for call_id, it in calls}


class Echo(grpc.GenericRpcHandler):
    """All methods: on the wire each kind of call is a stream that may have one message only."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        metadata = dict(details.invocation_metadata)

        def serve(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            attempt, answer = self._log.arrived(
                metadata["x-call-id"],
                metadata.get("grpc-previous-rpc-attempts"),
                context.time_remaining(),
            )
            return follow(answer, requests, attempt, context)

        return grpc.stream_stream_rpc_method_handler(serve)


def follow(
    answer: Answer,
    requests: Iterator[bytes],
    attempt: Attempt,
    context: grpc.ServicerContext,
) -> Iterator[bytes]:
    received = attempt.received
    if answer.headers:
        # Without a header of its own, C-core may yet merge them into a Trailers-Only.
        context.send_initial_metadata((("x-answer", "begun"),))
    while answer.reads is None or len(received) < answer.reads:
        message = next(requests, None)
        if message is None:
            received.append(HALF_CLOSE)
            break
        received.append(echo.decode(message)[:80])
        if answer.echoes:
            yield message
    time.sleep(answer.after_ms / 1_000)
    if answer.status:
        context.set_trailing_metadata(trailers(answer, attempt.failure))
        context.abort(CODES[answer.status], attempt.failure)
    if not answer.echoes:
        yield echo.encode(" ".join(text for text in received if text != HALF_CLOSE))


def trailers(answer: Answer, message: str) -> tuple[tuple[str, str | bytes], ...]:
    pushback = tuple(("grpc-retry-pushback-ms", value) for value in answer.pushback)
    if answer.retry_info_ms is None:
        return pushback
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(answer.retry_info_ms)
    status = status_pb2.Status(code=answer.status, message=message)
    status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return pushback + tuple(rpc_status.to_status(status).trailing_metadata)


def start(log: Log, options: list[tuple[str, int]]) -> tuple[grpc.Server, int]:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=options)
    server.add_generic_rpc_handlers((Echo(log),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main() -> None:
    log = Log()
    started = {name: start(log, options) for name, options in OPTIONS.items()}
    ports = {name: port for name, (_, port) in started.items()}
    ports["raw"] = raw.start(log)
    print(json.dumps({name: f"127.0.0.1:{port}" for name, port in ports.items()}), flush=True)
    sys.stdin.read()
    for server, _ in started.values():
        server.stop(grace=None)
    print(json.dumps(log.report()))


if __name__ == "__main__":
    main()
