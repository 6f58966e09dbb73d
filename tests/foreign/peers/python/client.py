"""Calls the service test.v1.Echo by grpcio, which is C-core, with a stock retry policy.

It makes many calls at once, some times without a quota and then under one, and prints the code of each
of the last. Or, without a retry policy, it calls on for a time.
"""

import argparse
import json
import threading
import time

import grpc

POLICY = {
    "methodConfig": [
        {
            "name": [{"service": "test.v1.Echo"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}

# Ids of calls without a quota are above this.
WARM = 1_000_000


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--warm-up", type=int, help="how often to make them without a quota before")
    parser.add_argument("--calls", type=int, help="how many calls to make at once")
    parser.add_argument("--millis", type=int, help="how long to call on instead, that many at once")
    return parser.parse_args()


def main():
    args = options()
    settings = [] if args.millis else [("grpc.service_config", json.dumps(POLICY))]
    with grpc.insecure_channel(f"127.0.0.1:{args.port}", options=settings) as channel:
        # Without serializers messages stay as they are, so that no generated code is needed.
        warm_up = channel.unary_unary("/test.v1.Echo/UnaryIdempotent")
        unary = channel.unary_unary("/test.v1.Echo/Unary")
        if args.millis:
            call_on(unary, args.calls, time.monotonic() + args.millis / 1000)
            return
        for i in range(args.warm_up):
            for call in at_once(warm_up, WARM + i * args.calls, args.calls):
                call.result()
        for call in at_once(unary, 1, args.calls):
            print("ended with", call.code().value[0])


def call_on(method, workers, until):
    def work(first):
        id = first
        while time.monotonic() < until:
            call = method.future(b"", timeout=30, metadata=(("x-call-id", str(id)),))
            code = call.code().value[0]
            print(f"ended with {code}\n", end="")
            if code:
                time.sleep(0.05)
            id += workers

    threads = [threading.Thread(target=work, args=(1 + i,)) for i in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def at_once(method, first, count):
    ids = range(first, first + count)
    return [method.future(b"", timeout=30, metadata=(("x-call-id", str(id)),)) for id in ids]


if __name__ == "__main__":
    main()
