"""The service test.v1.Echo by grpcio, which is C-core.

It logs each call as its handler begins, and answers as the metadata `x-answer` asks.
"""

import argparse
import os
import signal
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

DRAIN = 2


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--log", help="the file to which the calls that begin are appended")
    parser.add_argument("--age", type=int, default=0, help="ms after which a connection ends")
    parser.add_argument("--streams", type=int, default=0, help="how many a connection may have")
    parser.add_argument("--limit", type=int, default=4 << 20, help="bytes of a message")
    return parser.parse_args()


class Echo:
    def __init__(self, log):
        self.log = log

    def begin(self, context):
        head = dict(context.invocation_metadata())
        # In one write, so that no line is torn when the process is killed.
        os.write(self.log, f"{head.get('x-call-id')} {context.peer()}\n".encode())
        return head

    def unary(self, request, context):
        return answer(self.begin(context), request, context)

    def client_stream(self, requests, context):
        head = self.begin(context)
        # Messages run together are one message.
        return answer(head, b"".join(requests), context)


def answer(head, request, context):
    """Does what `x-answer` asks; without it the request comes back."""
    what, _, value = head.get("x-answer", "").partition(" ")
    retry = "grpc-previous-rpc-attempts" in head
    if what == "wait":
        time.sleep(int(value) / 1000)
    if what == "large":
        return message(int(value))
    if what == "retry-info" and not retry:
        context.abort_with_status(rpc_status.to_status(retry_info(int(value))))
    if what == "pushback" and not retry:
        context.set_trailing_metadata((("grpc-retry-pushback-ms", value),))
        context.abort(grpc.StatusCode.UNAVAILABLE, "pushed back")
    return request


def message(size):
    """A message whose first field has so many bytes."""
    length, rest = bytearray(), size
    while rest > 127:
        length.append(rest % 128 | 128)
        rest //= 128
    return b"\x0a" + bytes([*length, rest]) + b"x" * size


def retry_info(milliseconds):
    delay = duration_pb2.Duration()
    delay.FromMilliseconds(milliseconds)
    detail = any_pb2.Any()
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    code = grpc.StatusCode.UNAVAILABLE.value[0]
    return status_pb2.Status(code=code, message="come back", details=[detail])


def main():
    args = options()
    log = os.open(args.log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    settings = [
        ("grpc.max_receive_message_length", args.limit),
        ("grpc.max_send_message_length", args.limit),
    ]
    if args.age:
        settings.append(("grpc.max_connection_age_ms", args.age))
        settings.append(("grpc.max_connection_age_grace_ms", DRAIN * 1000))
    if args.streams:
        settings.append(("grpc.max_concurrent_streams", args.streams))
    # A thread for each stream, so that the limit of streams is what counts.
    workers = max(8, args.streams)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=workers), options=settings)
    echo = Echo(log)
    # Without serializers messages stay as they are, so that no generated code is needed.
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(echo.unary),
        "UnaryIdempotent": grpc.unary_unary_rpc_method_handler(echo.unary),
        "ClientStream": grpc.stream_unary_rpc_method_handler(echo.client_stream),
    }
    handler = grpc.method_handlers_generic_handler("test.v1.Echo", methods)
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"127.0.0.1:{args.port}")
    terminated = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: terminated.set())
    server.start()
    terminated.wait()
    server.stop(DRAIN).wait()


if __name__ == "__main__":
    main()
