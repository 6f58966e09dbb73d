"""What a client did, and how that deviates from what is expected of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from plan import CODES, HALF_CLOSE, Expected, Range, Scenario

# How much later an attempt may have left than its arrival lets believe: the first one waited for
# the connection, and C-core rounds what it writes into `grpc-timeout` up to two digits.
TIMEOUT_SLACK_MS = 50


class Seen(NamedTuple):
    """What a client says of a scenario, and the attempts that the server noted of each call."""

    outcome: dict
    calls: list[list[dict]]

    @classmethod
    def of(cls, client: str, scenario: Scenario, outcome: dict, report: dict) -> Seen:
        ids = (f"{client}/{scenario.name}/{number}" for number in range(scenario.calls))
        return cls(outcome, [report.get(call_id, []) for call_id in ids])


def gaps(attempts: list[dict]) -> list[float]:
    """Milliseconds between the arrivals of attempts."""
    arrivals = [attempt["at_ms"] for attempt in attempts]
    return [later - earlier for earlier, later in pairwise(arrivals)]


def deviations(scenario: Scenario, client: str, seen: Seen) -> list[str]:
    """Sentences that follow the client's name."""
    faults = list(of_outcome(scenario, client, seen))
    for attempts in seen.calls:
        faults += of_attempts(scenario, client, attempts)
    # Of many calls, each fault once.
    return list(dict.fromkeys(faults))


def of_outcome(scenario: Scenario, client: str, seen: Seen) -> Iterator[str]:
    expected, outcome = scenario.of(client), seen.outcome
    if outcome["calls"] != scenario.calls:
        yield f"made {outcome['calls']} calls, not {scenario.calls}"
    word = last_word(scenario, expected)
    if outcome["code"] != expected.code:
        yield f"ended with {ending(outcome)}, not with {expected.code}"
    elif word is not None and outcome["message"] != word:
        yield f"said '{outcome['message']}', not the server's last word, '{word}'"
    if expected.replies is not None and outcome["replies"] != list(expected.replies):
        yield f"heard {outcome['replies']}, not {list(expected.replies)}"
    if expected.within_ms is not None and outcome["elapsed_ms"] > expected.within_ms:
        yield f"took {outcome['elapsed_ms']} ms, more than {expected.within_ms:.0f}"


def ending(outcome: dict) -> str:
    words = [outcome["code"]]
    if outcome["message"]:
        words.append(f"'{outcome['message']}'")
    if outcome.get("gave_up"):
        words.append(f"({outcome['gave_up']})")
    if outcome["failed"]:
        words.append(f"in {outcome['failed']} of {outcome['calls']} calls")
    return " ".join(words)


def last_word(scenario: Scenario, expected: Expected) -> str | None:
    """What the server says of the last attempt, if the call ends with that."""
    answer = scenario.script[min(expected.attempts, len(scenario.script)) - 1]
    code = CODES.get(answer.status)
    says_so = code is not None and code.name == expected.code != "OK"
    return f"failure of attempt {expected.attempts}" if says_so else None


def of_attempts(scenario: Scenario, client: str, attempts: list[dict]) -> Iterator[str]:
    expected = scenario.of(client)
    if len(attempts) != expected.attempts:
        yield f"made {len(attempts)} attempts, not {expected.attempts}"
        return
    if expected.gaps:
        yield from of_gaps(expected.gaps, gaps(attempts))
    if expected.counted and scenario.server != "raw":  # which can't read it
        yield from of_count(attempts)
    if scenario.server != "raw":
        yield from of_messages(expected, [attempt["received"] for attempt in attempts])
    if scenario.timeout_ms is not None:
        yield from of_timeouts(scenario.timeout_ms, attempts)


def of_gaps(expected: Sequence[Range], seen: list[float]) -> Iterator[str]:
    for number, ((least, most), gap) in enumerate(zip(expected, seen, strict=True), start=2):
        if not least <= gap <= most:
            yield f"made attempt {number} after {gap:.1f} ms, not {least:.0f} to {most:.0f}"


def of_count(attempts: list[dict]) -> Iterator[str]:
    """`grpc-previous-rpc-attempts` is absent at first, then 1, 2, .."""
    previous = [attempt["previous"] for attempt in attempts]
    counted = [None] + [str(number) for number in range(1, len(attempts))]
    if previous != counted:
        yield f"counted the previous attempts {previous}, not {counted}"


def of_messages(expected: Expected, received: list[list[str]]) -> Iterator[str]:
    if expected.received is not None:
        if received != [list(messages) for messages in expected.received]:
            yield f"sent {received}, not {expected.received}"
    elif any(len(it) != 2 or it[1] != HALF_CLOSE for it in received):
        yield f"sent {received}, not one message and a half-close"


def of_timeouts(whole_ms: float, attempts: list[dict]) -> Iterator[str]:
    """The deadline is the call's: what is left of it shrinks from attempt to attempt."""
    for number, attempt in enumerate(attempts, start=1):
        left = whole_ms - attempt["at_ms"]
        if attempt["timeout_ms"] > left + TIMEOUT_SLACK_MS:
            told = attempt["timeout_ms"]
            yield f"told attempt {number} of {told:.0f} ms while {left:.0f} were left"
