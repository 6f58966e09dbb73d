use crate::grpc::{Code, Status};

/// Messages of libraries and proxies for a message or metadata over a size limit (CONTRACT R15),
/// with the source files. The parts stand in the message in this order, with figures between them.
/// Each text names the object that is too large, because queues have limits too.
const TEXTS: [&[&str]; 20] = [
    // grpc-go `rpc_util.go`, `stream.go`; C-core `ext/filters/message_size/message_size_filter.cc`,
    // `ext/filters/http/message_compress/compression_filter.cc`; grpc-js `stream-decoder.ts`,
    // `server-interceptors.ts`.
    &["message larger than max"],
    // grpc-go `rpc_util.go`.
    &["message after decompression larger than max"],
    // grpc-go `rpc_util.go`: "grpc: message too large (9 bytes)"; grpc-java
    // `internal/MessageFramer.java`: "message too large 9 > 8".
    &["message too large"],
    // grpc-java `internal/MessageDeframer.java`.
    &["message exceeds maximum size"],
    // grpc-dotnet `Grpc.Net.Client/Internal/StreamExtensions.cs`,
    // `GrpcCallSerializationContext.cs`; `Grpc.AspNetCore.Server/Internal/PipeExtensions.cs`,
    // `HttpContextSerializationContext.cs`.
    &["exceeds the maximum configured message size"],
    // grpc-js `compression-filter.ts`, `server-interceptors.ts`.
    &["decompresses to a size larger than"],
    // grpc-js `compression-filter.ts`.
    &["to send message with a size larger than"],
    // connect-go `envelope.go`, `compression.go`: "configured max"; connect-es
    // `connect/src/protocol/limit-io.ts`, `connect-node/src/compression.ts`: "configured
    // readMaxBytes", "configured writeMaxBytes".
    &["message is larger than configured "],
    &["message size ", "is larger than configured "],
    // connect-go `envelope.go`, `protocol_connect.go`.
    &["exceeds sendMaxBytes"],
    // connect-go `error.go`.
    &["http.MaxBytesReader limit"],
    // tonic 0.14 `codec/encode.rs`, `codec/decode.rs`, as OUT_OF_RANGE.
    &["message length too large"],
    // tonic 0.14 `codec/decode.rs`.
    &["exceeded while decompressing message"],
    // tonic 0.14 `codec/encode.rs`.
    &["Cannot return body with more than 4GB of data"],
    // Envoy `extensions/filters/http/grpc_json_reverse_transcoder/filter.cc`.
    &["Request entity too large"],
    // Metadata: C-core `ext/transport/chttp2/transport/hpack_parse_result.cc`.
    &["received metadata size exceeds"],
    // Metadata: C-core before that file came in 2023: `ext/transport/chttp2/transport/parsing.cc`,
    // `hpack_parser.cc`, "received initial metadata size exceeds limit", or "soft limit", and
    // "received trailing ..", `chttp2_transport.cc`, "to-be-sent initial metadata size exceeds peer
    // limit", and "to-be-sent trailing ..".
    &["initial metadata size exceeds"],
    &["trailing metadata size exceeds"],
    // Metadata: grpc-java `netty/NettyServerHandler.java`, `NettyClientHandler.java`.
    &["exceeded Metadata size soft limit"],
    // Metadata: grpc-java `okhttp/OkHttpServerTransport.java`, `OkHttpClientTransport.java`,
    // `inprocess/InProcessTransport.java`.
    &["metadata larger than"],
];

/// Whether a status reports a size limit, which waiting does not cure (CONTRACT R15). Only the
/// message distinguishes it from overload.
pub(super) fn is_named_by(status: &Status) -> bool {
    // gRPC's code for it, and the code that tonic uses.
    matches!(status.code(), Code::ResourceExhausted | Code::OutOfRange)
        && TEXTS.iter().any(|parts| says(status.message(), parts))
}

/// Whether the parts stand in the message, in this order.
fn says(message: &str, parts: &[&str]) -> bool {
    let mut parts = parts.iter();
    let rest = parts.try_fold(message, |rest, part| Some(rest.split_once(part)?.1));
    rest.is_some()
}

/// Whether an HTTP status reports a size limit: Content Too Large, as proxies answer, or Request
/// Header Fields Too Large, as hyper's and other servers answer to a header list over their limit.
pub(super) fn is_http(status: http::StatusCode) -> bool {
    matches!(status.as_u16(), 413 | 431)
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT R15
    #[test]
    fn each_text_counts_with_the_codes_that_it_comes_with_and_no_other() {
        for parts in TEXTS {
            let text = parts.join("5 ");
            let says_so = |code| is_named_by(&Status::new(code, format!("grpc: {text} (5 vs. 4)")));
            for code in Code::ALL {
                let expected = matches!(code, Code::ResourceExhausted | Code::OutOfRange);
                assert_eq!(says_so(code), expected, "{code} {text}");
            }
        }
    }

    // CONTRACT R15: no entry covers another
    #[test]
    fn each_text_is_needed() {
        for (at, parts) in TEXTS.iter().enumerate() {
            let text = parts.concat();
            let mut others = TEXTS.iter().enumerate().filter(|(other, _)| *other != at);
            assert!(!others.any(|(_, other)| says(&text, other)), "{text}");
        }
    }

    // CONTRACT R15
    #[test]
    fn parts_count_in_their_order() {
        let parts = ["message ", "is larger"];
        assert!(says("message size 5 is larger than 4", &parts));
        assert!(!says("it is larger than the message ", &parts));
        assert!(!says("message ", &parts));
    }
}
