"""The scenarios: what the server does, what a client does, and what each client is expected to do.
scenarios.rs lists them for our client, without the server's part and the expectations.

Both clients retry UNAVAILABLE, with at most four attempts and a backoff of 50 ms, doubling to 1 s.
"""

from plan import (
    ENHANCE_YOUR_CALM,
    HALF_CLOSE,
    OK,
    PAUSE,
    REFUSED_STREAM,
    SLACK_MS,
    UNAVAILABLE,
    Answer,
    Expected,
    Scenario,
    at_least,
    backoff,
    fails,
)

REFUSED = "C-core takes a refused stream for any UNAVAILABLE; we send it again at once, uncounted"

ONE_FAILURE = Expected(attempts=1, code="UNAVAILABLE")
FOUR_FAILURES = Expected(attempts=4, code="UNAVAILABLE", gaps=[backoff(1), backoff(2), backoff(3)])
RETRIED_ONCE = Expected(attempts=2, gaps=[backoff(1)])

SCENARIOS = [
    # Codes and attempts.
    Scenario(
        "ok",
        call="unary",
        script=[OK],
        expected=Expected(attempts=1),
    ),
    Scenario(
        "unavailable_twice",
        call="unary",
        script=[UNAVAILABLE, UNAVAILABLE, OK],
        expected=Expected(attempts=3, gaps=[backoff(1), backoff(2)]),
    ),
    Scenario(
        "unavailable_always",
        call="unary",
        script=[UNAVAILABLE],
        expected=FOUR_FAILURES,
    ),
    Scenario(
        "internal",
        call="unary",
        script=[fails("INTERNAL"), OK],
        expected=Expected(attempts=1, code="INTERNAL"),
    ),
    Scenario(
        "resource_exhausted",
        call="unary",
        script=[fails("RESOURCE_EXHAUSTED"), OK],
        expected=Expected(attempts=1, code="RESOURCE_EXHAUSTED"),
    ),
    Scenario(
        "unknown_status",
        server="raw",  # C-core's sends none
        call="unary",
        script=[Answer(status=99)],
        expected=Expected(attempts=1, code="UNKNOWN"),
    ),
    Scenario(
        "undeclared",
        call="unary_undeclared",
        script=[UNAVAILABLE, OK],
        expected=ONE_FAILURE,
    ),
    Scenario(
        "throttled",
        call="unary",
        tokens=4,
        # The first failure leaves 3 tokens of 4, the second no more than half of them.
        script=[UNAVAILABLE],
        expected=Expected(attempts=2, code="UNAVAILABLE", gaps=[backoff(1)]),
    ),
    Scenario(
        "request_over_buffer",
        call="unary",
        padded_to=300_000,  # of 256 KiB, the default of both
        script=[UNAVAILABLE, OK],
        expected=ONE_FAILURE,
    ),
    # Pushback and RetryInfo.
    Scenario(
        "pushback",
        call="unary",
        script=[fails("UNAVAILABLE", pushback=["300"]), OK],
        expected=Expected(attempts=2, gaps=[at_least(300)]),
    ),
    Scenario(
        "pushback_zero",
        call="unary",
        timeout_ms=2_000,
        script=[fails("UNAVAILABLE", pushback=["0"])] * 3 + [OK],
        # The third backoff would take 160 ms or more.
        expected=Expected(attempts=4, gaps=[(0, SLACK_MS), (0, SLACK_MS), (0, 159)]),
        grpcio=Expected(attempts=1, code="DEADLINE_EXCEEDED"),
        why="C-core never wakes from a wait of 0 ms",
    ),
    Scenario(
        "pushback_then_backoff",
        call="unary",
        script=[UNAVAILABLE, fails("UNAVAILABLE", pushback=["100"]), UNAVAILABLE, OK],
        # The backoff starts anew: its third would take 160 ms or more.
        expected=Expected(attempts=4, gaps=[backoff(1), at_least(100), (40, 159)]),
    ),
    Scenario(
        "pushback_negative",
        call="unary",
        script=[fails("UNAVAILABLE", pushback=["-1"]), OK],
        expected=ONE_FAILURE,
    ),
    Scenario(
        "pushback_unparsable",
        server="raw",  # C-core's makes a number of it
        call="unary",
        script=[fails("UNAVAILABLE", pushback=["xxx"])],
        expected=ONE_FAILURE,
        grpcio=Expected(attempts=1, code="INTERNAL"),
        why="C-core fails the call for it; we obey it as a stop and keep the server's status",
    ),
    Scenario(
        "pushback_given_twice",
        server="raw",  # C-core's sends the last one
        call="unary",
        script=[fails("UNAVAILABLE", pushback=["300", "10"]), fails("INTERNAL")],
        expected=ONE_FAILURE,
        grpcio=Expected(attempts=2, code="INTERNAL", gaps=[(10, 299)]),
        why="C-core obeys the last one, gRPC for Go and we none",
    ),
    Scenario(
        "pushback_past_deadline",
        call="unary",
        timeout_ms=1_000,
        script=[fails("UNAVAILABLE", pushback=["5000"]), OK],
        expected=Expected(attempts=1, code="UNAVAILABLE", within_ms=SLACK_MS),
        grpcio=Expected(attempts=1, code="DEADLINE_EXCEEDED"),
        why="C-core waits for the deadline; we return what the server said while that is of use",
    ),
    Scenario(
        "retry_info",
        call="unary",
        script=[fails("UNAVAILABLE", retry_info_ms=300), OK],
        expected=Expected(attempts=2, gaps=[(300, 360 + SLACK_MS)]),
        grpcio=Expected(attempts=2, gaps=[(40, 299)]),
        why="C-core does not read RetryInfo and backs off as ever",
    ),
    Scenario(
        "retry_info_and_pushback",
        call="unary",
        script=[fails("UNAVAILABLE", retry_info_ms=5_000, pushback=["300"]), OK],
        expected=Expected(attempts=2, gaps=[at_least(300)]),
    ),
    # The deadline.
    Scenario(
        "deadline",
        call="unary",
        timeout_ms=1_000,
        script=[fails("UNAVAILABLE", after_ms=300)],
        expected=Expected(
            attempts=3,
            code="DEADLINE_EXCEEDED",
            gaps=[(340, 360 + SLACK_MS), (380, 420 + SLACK_MS)],
            within_ms=1_000 + SLACK_MS,
        ),
    ),
    Scenario(
        "cancelled",
        call="unary",
        cancel_after_ms=100,
        script=[fails("UNAVAILABLE", pushback=["300"]), OK],
        expected=Expected(attempts=1, code="CANCELLED"),
    ),
    # Commitment.
    Scenario(
        "trailers_after_headers",
        call="unary",
        script=[fails("UNAVAILABLE", headers=True), OK],
        expected=RETRIED_ONCE,
        grpcio=ONE_FAILURE,
        why="C-core commits at headers; of a unary call we know that no reply has gone up",
    ),
    Scenario(
        "server_stream",
        call="server_stream",
        script=[UNAVAILABLE, OK],
        expected=RETRIED_ONCE,
    ),
    Scenario(
        "server_stream_after_headers",
        call="server_stream",
        script=[fails("UNAVAILABLE", headers=True), OK],
        expected=ONE_FAILURE,
    ),
    # Streams of requests.
    Scenario(
        "client_stream",
        call="client_stream",
        messages=["1", "2", "3"],
        script=[fails("UNAVAILABLE", reads=3), OK],
        expected=RETRIED_ONCE._replace(
            received=[["1", "2", "3"], ["1", "2", "3", HALF_CLOSE]],
            replies=["1 2 3"],
        ),
    ),
    Scenario(
        "client_stream_midway",
        call="client_stream",
        messages=["1", "2", PAUSE, "3", "4"],
        script=[fails("UNAVAILABLE", reads=2), OK],
        expected=RETRIED_ONCE._replace(
            received=[["1", "2"], ["1", "2", "3", "4", HALF_CLOSE]],
            replies=["1 2 3 4"],
        ),
    ),
    Scenario(
        "bidi",
        call="bidi",
        messages=["1", "2", "3", "4", "5"],
        script=[fails("UNAVAILABLE", reads=1), Answer(echoes=True)],
        expected=RETRIED_ONCE._replace(
            received=[["1"], ["1", "2", "3", "4", "5", HALF_CLOSE]],
            replies=["1", "2", "3", "4", "5"],
        ),
    ),
    Scenario(
        "bidi_after_reply",
        call="bidi",
        messages=["1", "2"],
        script=[fails("UNAVAILABLE", reads=1, echoes=True), Answer(echoes=True)],
        expected=ONE_FAILURE._replace(received=[["1"]], replies=["1"]),
    ),
    # Resets. The raw server counts each request that reaches it, transparent retries too.
    Scenario(
        "refused_once",
        server="raw",
        call="unary_undeclared",
        script=[REFUSED_STREAM, OK],
        expected=Expected(attempts=2, gaps=[(0, SLACK_MS)]),
        grpcio=ONE_FAILURE,
        why=REFUSED,
    ),
    Scenario(
        "refused_twice",
        server="raw",
        call="unary_undeclared",
        script=[REFUSED_STREAM, REFUSED_STREAM, OK],
        expected=Expected(attempts=3, gaps=[(0, SLACK_MS), backoff(1)]),
        grpcio=ONE_FAILURE,
        why=REFUSED,
    ),
    Scenario(
        "refused_always",
        server="raw",
        call="unary",
        script=[REFUSED_STREAM],
        expected=Expected(
            attempts=5,
            code="UNAVAILABLE",
            gaps=[(0, SLACK_MS), backoff(1), backoff(2), backoff(3)],
        ),
        grpcio=FOUR_FAILURES,
        why=REFUSED,
    ),
    Scenario(
        "told_to_calm_down",
        server="raw",
        call="unary",
        script=[ENHANCE_YOUR_CALM, OK],
        expected=Expected(attempts=1, code="RESOURCE_EXHAUSTED"),
    ),
    # Many calls over one connection; each reaches the server's application once.
    Scenario(
        "refused_streams",
        server="refusing",
        call="unary",
        at_once=10,
        each=4,
        warm=True,
        script=[Answer(after_ms=10)],
        expected=Expected(attempts=1, counted=False),
    ),
    # tonic sends before the server's SETTINGS arrive, and C-core then resets what is over its limit
    # with ENHANCE_YOUR_CALM: nothing says that it did not run, so the user has to allow for it.
    Scenario(
        "burst_before_settings",
        server="refusing",
        call="unary",
        at_once=20,
        retry_on="RESOURCE_EXHAUSTED",
        script=[Answer(after_ms=10)],
        expected=Expected(attempts=1, counted=False),
    ),
    Scenario(
        "connections_go_away",
        server="aging",
        call="unary_undeclared",  # whatever goes again is known not to have run
        at_once=4,
        each=40,
        script=[Answer(after_ms=60)],
        expected=Expected(attempts=1),
    ),
]
