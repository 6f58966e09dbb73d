"""C-core's client in the scenarios, as interop-client is ours, and called as it is:
`client.py core=127.0.0.1:4000 aging=.. pushback`.
"""

from __future__ import annotations

import json
import queue
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any, NamedTuple

import grpc

import echo
from plan import PAUSE, Scenario
from scenarios import SCENARIOS

# No scenario takes so long, so that one that hangs is seen as one that fails.
PATIENCE_S = 10.0
# Longer than the server takes to fail a call that it has read half of.
PAUSE_S = 0.15


class Result(NamedTuple):
    code: str
    message: str
    replies: list[str]


def channel(address: str, scenario: Scenario) -> grpc.Channel:
    options = [
        ("grpc.enable_retries", 1),
        ("grpc.service_config", json.dumps(service_config(scenario))),
        # No scenario inherits the connection of another one.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    return grpc.insecure_channel(address, options=options)


def service_config(scenario: Scenario) -> dict:
    """The layers of stack.rs, said in gRPC's own way: what is not declared has no policy."""
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": sorted({"UNAVAILABLE", scenario.retry_on}),
    }
    names = [{"service": echo.SERVICE, "method": method} for method in echo.DECLARED]
    config: dict = {"methodConfig": [{"name": names, "retryPolicy": policy}]}
    if scenario.tokens is not None:
        config["retryThrottling"] = {"maxTokens": scenario.tokens, "tokenRatio": 0.1}
    return config


def play(scenario: Scenario, address: str) -> dict:
    """On a channel of its own, so that no scenario colours the next."""
    with channel(address, scenario) as opened:
        start = time.monotonic()
        results = make_all(scenario, opened)
        elapsed = time.monotonic() - start
    failures = [result for result in results if result.code != "OK"]
    return {
        "scenario": scenario.name,
        "calls": len(results),
        "failed": len(failures),
        "code": failures[0].code if failures else "OK",
        "message": failures[0].message if failures else "",
        "replies": [reply for result in results for reply in result.replies],
        "elapsed_ms": round(elapsed * 1_000),
    }


def make_all(scenario: Scenario, opened: grpc.Channel) -> list[Result]:
    def make_in_turn(numbers: range) -> list[Result]:
        return [make_one(scenario, opened, number) for number in numbers]

    results = make_in_turn(range(int(scenario.warm)))
    starts = range(len(results), scenario.calls, scenario.each)
    shares = [range(start, start + scenario.each) for start in starts]
    with futures.ThreadPoolExecutor(max_workers=scenario.at_once) as callers:
        for share in callers.map(make_in_turn, shares):
            results += share
    return results


def make_one(scenario: Scenario, opened: grpc.Channel, number: int) -> Result:
    call_id = f"grpcio/{scenario.name}/{number}"
    options = {
        "metadata": (("x-call-id", call_id),),
        "timeout": PATIENCE_S if scenario.timeout_ms is None else scenario.timeout_ms / 1_000,
    }
    replies: list[str] = []
    try:
        for reply in call(scenario, opened, echo.encode(padded(call_id, scenario)), options):
            replies.append(echo.decode(reply))
    except (grpc.RpcError, grpc.FutureCancelledError) as error:
        if isinstance(error, grpc.RpcError):
            return Result(error.code().name, error.details(), replies)
        return Result("CANCELLED", "", replies)
    return Result("OK", "", replies)


def call(
    scenario: Scenario, opened: grpc.Channel, hello: bytes, options: dict[str, Any]
) -> Iterator[bytes]:
    """The replies, as they come."""

    def path(method: str) -> str:
        return f"/{echo.SERVICE}/{method}"

    match scenario.call:
        case "unary":
            future = opened.unary_unary(path("UnaryIdempotent")).future(hello, **options)
            if scenario.cancel_after_ms is not None:
                time.sleep(scenario.cancel_after_ms / 1_000)
                future.cancel()
            yield future.result()
        case "unary_undeclared":
            yield opened.unary_unary(path("Unary"))(hello, **options)
        case "server_stream":
            yield from opened.unary_stream(path("ServerStreamIdempotent"))(hello, **options)
        case "client_stream":
            yield opened.stream_unary(path("ClientStream"))(spoken(scenario), **options)
        case "bidi":
            yield from talk(scenario, opened.stream_stream(path("BidiStream")), options)


def spoken(scenario: Scenario) -> Iterator[bytes]:
    for text in scenario.messages:
        if text == PAUSE:
            time.sleep(PAUSE_S)
        else:
            yield echo.encode(text)


def talk(
    scenario: Scenario, method: grpc.StreamStreamMultiCallable, options: dict[str, Any]
) -> Iterator[bytes]:
    """Ping-pong: the server sees the next message after the client saw its reply."""
    unsent = iter(scenario.messages)
    sent: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    sent.put(next(unsent))
    try:
        for reply in method(map(echo.encode, iter(sent.get, None)), **options):
            yield reply
            sent.put(next(unsent, None))
    finally:
        sent.put(None)  # so that the thread that sends ends too


def padded(text: str, scenario: Scenario) -> str:
    return text.ljust(scenario.padded_to, "x")


def main() -> None:
    addresses = dict(arg.split("=", 1) for arg in sys.argv[1:] if "=" in arg)
    wanted = {arg for arg in sys.argv[1:] if "=" not in arg}
    for scenario in SCENARIOS:
        if not wanted or scenario.name in wanted:
            print(json.dumps(play(scenario, addresses[scenario.server])), flush=True)


if __name__ == "__main__":
    main()
