"""Calls the service test.v1.Echo by grpcio, which is C-core, with a stock retry policy.

It makes many calls at once, some times without a quota and then under one, and prints the code of each
of the last.
"""

import argparse
import json

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
    return parser.parse_args()


def main():
    args = options()
    settings = [("grpc.service_config", json.dumps(POLICY))]
    with grpc.insecure_channel(f"127.0.0.1:{args.port}", options=settings) as channel:
        # Without serializers messages stay as they are, so that no generated code is needed.
        warm_up = channel.unary_unary("/test.v1.Echo/UnaryIdempotent")
        unary = channel.unary_unary("/test.v1.Echo/Unary")
        for i in range(args.warm_up):
            for call in at_once(warm_up, WARM + i * args.calls, args.calls):
                call.result()
        for call in at_once(unary, 1, args.calls):
            print("ended with", call.code().value[0])


def at_once(method, first, count):
    ids = range(first, first + count)
    return [method.future(b"", timeout=30, metadata=(("x-call-id", str(id)),)) for id in ids]


if __name__ == "__main__":
    main()
