"""The table that run.py prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from judge import Seen, gaps
from plan import Scenario

COLUMNS = ("attempts", "gaps ms", "previous", "timeout ms", "code")
LEGEND = """\
previous: grpc-previous-rpc-attempts of each attempt; timeout: what its grpc-timeout leaves, rounded
20 x 1: 20 calls, each with one attempt that the application saw; unseen: requests that it never saw
"""

Row = tuple[Scenario, dict[str, Seen], dict[str, list[str]]]


def render(rows: list[Row], peer: str) -> str:
    blank = [""] * (len(COLUMNS) - 1)
    clients = ["", "ours", *blank, peer, *blank, ""]
    lines = [["scenario", *COLUMNS, *COLUMNS, "verdict"], *(cells_of(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(clients))]
    rule = ["-" * width for width in widths]
    lines = [clients, lines[0], rule, *lines[1:]]
    return "\n".join([*(aligned(line, widths) for line in lines), "", LEGEND, *notes(rows)])


def aligned(line: list[str], widths: list[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
    return "  ".join(cells).rstrip()


def notes(rows: list[Row]) -> list[str]:
    """Why C-core differs, each reason once."""
    names = defaultdict(list)
    for scenario, _, _ in rows:
        if scenario.why:
            names[scenario.why].append(scenario.name)
    return [f"{', '.join(scenarios)}: {why}" for why, scenarios in names.items()]


def cells_of(row: Row) -> list[str]:
    scenario, seen, wrong = row
    if deviants := [client for client, faults in wrong.items() if faults]:
        verdict = "DEVIATES: " + ", ".join(deviants)
    else:
        verdict = "differ, as expected" if scenario.grpcio else "same"
    cells = [cell for client in ("ours", "grpcio") for cell in did(scenario, seen[client])]
    return [scenario.name, *cells, verdict]


def did(scenario: Scenario, seen: Seen) -> list[str]:
    if len(seen.calls) > 1:
        return did_often(seen)
    attempts = seen.calls[0]
    # The deadline that ends a call which hangs is of no interest.
    timeouts = [attempt["timeout_ms"] for attempt in attempts if scenario.timeout_ms]
    return [
        str(len(attempts)),
        joined(f"{gap:.0f}" for gap in gaps(attempts)),
        joined(attempt["previous"] or "-" for attempt in attempts),
        joined(f"{left:.0f}" for left in timeouts),
        seen.outcome["code"],
    ]


def did_often(seen: Seen) -> list[str]:
    counts = sorted({len(attempts) for attempts in seen.calls})
    total = sum(len(attempts) for attempts in seen.calls)
    sends = seen.outcome.get("sends")
    return [
        f"{len(seen.calls)} x {joined((str(count) for count in counts), ' or ')}",
        "-" if sends is None else f"{sends - total} unseen",
        "-",
        "-",
        seen.outcome["code"],
    ]


def joined(words: Iterable[str], separator: str = " ") -> str:
    return separator.join(words) or "-"
