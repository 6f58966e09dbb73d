//! The four kinds of call.

use grpc_resilience::grpc::MethodKind;

use super::call::Declared;

pub(super) const ALL: [MethodKind; 4] = [
    MethodKind::Unary,
    MethodKind::ClientStreaming,
    MethodKind::ServerStreaming,
    MethodKind::BidiStreaming,
];

/// The method of this kind; what is declared by path or key has methods of its own.
pub(super) fn path(kind: MethodKind, declared: Declared) -> String {
    let prefix = match declared {
        Declared::No | Declared::ByCaller => "",
        Declared::ByPath => "Safe",
        Declared::ByKey => "Keyed",
    };
    let name = match kind {
        MethodKind::Unary => "Unary",
        MethodKind::ClientStreaming => "ClientStream",
        MethodKind::ServerStreaming => "ServerStream",
        MethodKind::BidiStreaming => "BidiStream",
        _ => unreachable!("{kind:?} is no kind of the test service"),
    };
    format!("/test.v1.Echo/{prefix}{name}")
}
