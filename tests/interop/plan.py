"""The words of the table in scenarios.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc

# A busy machine may be late by this much. It is never early: lower bounds have no slack.
SLACK_MS = 700

# What a server notes after the last message of a request stream that was ended.
HALF_CLOSE = "half-close"
# Among the messages of a request stream: nothing is sent for a while.
PAUSE = "pause"

CODES = {code.value[0]: code for code in grpc.StatusCode}

Range = tuple[float, float]


class Answer(NamedTuple):
    """What the server does with one attempt, in the order of the fields."""

    headers: bool = False  # sends them at once, so that no status comes Trailers-Only
    reads: int | None = None  # so many messages; all of them, to the half-close
    echoes: bool = False  # each message as it is read; otherwise all of them in one reply
    after_ms: int = 0
    status: int = 0
    pushback: Sequence[str] = ()
    retry_info_ms: int | None = None
    reset: int | None = None  # an HTTP/2 error code instead of an answer; raw.py's server only


OK = Answer()


def fails(code: str, **details: Any) -> Answer:
    return Answer(status=grpc.StatusCode[code].value[0], **details)


UNAVAILABLE = fails("UNAVAILABLE")
REFUSED_STREAM = Answer(reset=7)
ENHANCE_YOUR_CALM = Answer(reset=11)


class Expected(NamedTuple):
    """What a client has to do; of many calls, what each of them has to do."""

    attempts: int
    code: str = "OK"
    gaps: Sequence[Range] = ()  # milliseconds from one attempt's arrival to the next one's
    received: Sequence[Sequence[str]] | None = None  # by each attempt; one message if None
    replies: Sequence[str] | None = None
    within_ms: float | None = None  # the whole call
    # Whether the attempts are numbered without a gap: not if some never reach the application.
    counted: bool = True


class Scenario(NamedTuple):
    """One row. `grpcio` is None where C-core is expected to do what we do."""

    name: str
    call: str
    script: Sequence[Answer]  # one per attempt, the last for all further ones
    expected: Expected
    grpcio: Expected | None = None
    why: str = ""  # C-core differs
    server: str = "core"
    messages: Sequence[str] = ()
    timeout_ms: int | None = None
    tokens: int | None = None  # the size of the bucket that throttles retries
    retry_on: str = "UNAVAILABLE"
    padded_to: int = 0  # the length of the message
    at_once: int = 1  # so many callers
    each: int = 1  # make so many calls, one after the other
    warm: bool = False  # a first call alone, so that the connection's SETTINGS are known
    cancel_after_ms: int | None = None

    @property
    def calls(self) -> int:
        return self.at_once * self.each + self.warm

    def of(self, client: str) -> Expected:
        return self.grpcio if client == "grpcio" and self.grpcio else self.expected


def backoff(retry: int) -> Range:
    """gRFC A6: 50 ms, doubled for each retry, 20 % less or more."""
    base = 50 * 2 ** (retry - 1)
    return (0.8 * base, 1.2 * base + SLACK_MS)


def at_least(wait_ms: float) -> Range:
    return (wait_ms, wait_ms + SLACK_MS)
