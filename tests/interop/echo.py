"""The test service, without generated code: of tests/protos/proto/echo.proto the scenarios use the
field `text` alone, which has the same number in requests and in responses."""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "test.v1.Echo"
# These have a retry policy, as they are declared idempotent in stack.rs; `Unary` has none.
DECLARED = ("UnaryIdempotent", "ServerStreamIdempotent", "ClientStream", "BidiStream")

_FIELD = descriptor_pb2.FieldDescriptorProto


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="interop/echo.proto", package="interop", syntax="proto3"
    )
    file.message_type.add(name="Echo").field.add(
        name="text", number=2, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("interop.Echo"))


_ECHO = _message_class()


def encode(text: str) -> bytes:
    return _ECHO(text=text).SerializeToString()


def decode(message: bytes) -> str:
    return _ECHO.FromString(message).text
