"""Runs the scenarios with our client and with C-core's, against C-core's server, and judges both.

    run.py INTEROP_CLIENT [SCENARIO..]

Prints one table and exits with 1 if a client does not do what scenarios.py expects of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from judge import Seen, deviations
from plan import Scenario
from scenarios import SCENARIOS
from table import render

HERE = Path(__file__).parent
CLIENTS = ("ours", "grpcio")
# All scenarios take a client about 10 seconds; each call ends after 10 by itself.
PATIENCE_S = 120


def main() -> int:
    program, *names = sys.argv[1:]
    if unknown := set(names) - {scenario.name for scenario in SCENARIOS}:
        return complain(f"scenarios.py has no scenario {', '.join(sorted(unknown))}")
    wanted = [scenario for scenario in SCENARIOS if not names or scenario.name in names]
    commands = {
        "ours": [program],
        "grpcio": [sys.executable, str(HERE / "client.py")],
    }
    outcomes, report = play(commands, names)
    expected = {scenario.name for scenario in wanted}
    for client in CLIENTS:
        if odd := expected ^ set(outcomes[client]):
            return complain(f"only one of scenarios.py and {client} has: {', '.join(sorted(odd))}")
    return judge(wanted, outcomes, report)


def play(commands: dict[str, list[str]], names: list[str]) -> tuple[dict, dict]:
    """What each client says of each scenario, and what the server says of each call."""
    server = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin and server.stdout
    try:
        addresses = json.loads(server.stdout.readline())
        targets = [f"{name}={address}" for name, address in addresses.items()]
        outcomes = {
            client: run([*command, *targets, *names]) for client, command in commands.items()
        }
        report, _ = server.communicate(timeout=PATIENCE_S)
        return outcomes, json.loads(report)
    finally:
        server.kill()


def run(command: list[str]) -> dict[str, dict]:
    # C-core would write of each malformed header, which is all that it could say here.
    environment = os.environ | {"GRPC_VERBOSITY": "NONE"}
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE_S,
        env=environment,
    )
    outcomes = map(json.loads, done.stdout.splitlines())
    return {outcome["scenario"]: outcome for outcome in outcomes}


def judge(scenarios: list[Scenario], outcomes: dict, report: dict) -> int:
    rows, faults = [], []
    for scenario in scenarios:
        seen = {
            client: Seen.of(client, scenario, outcomes[client][scenario.name], report)
            for client in CLIENTS
        }
        wrong = {client: deviations(scenario, client, seen[client]) for client in CLIENTS}
        rows.append((scenario, seen, wrong))
        faults += [
            f"{scenario.name}: {client} {fault}" for client in CLIENTS for fault in wrong[client]
        ]
    print(render(rows, f"grpcio {version('grpcio')}"))
    for fault in faults:
        print(f"deviation: {fault}")
    print(f"{len(scenarios)} scenarios, {len(faults)} deviations")
    return 1 if faults else 0


def complain(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
