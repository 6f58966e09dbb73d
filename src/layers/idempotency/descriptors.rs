use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, MethodOptions,
    ServiceDescriptorProto,
};

use crate::call::Safety;
use crate::grpc::MethodKind;

use super::InvalidDescriptors;
use super::described::Description;

/// The methods of a serialized `google.protobuf.FileDescriptorSet`.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, Description)>, InvalidDescriptors> {
    if bytes.is_empty() {
        return Err(InvalidDescriptors::Empty);
    }
    let set = FileDescriptorSet::decode(bytes)
        .map_err(|error| InvalidDescriptors::Malformed(error.to_string().into()))?;
    let services = set
        .file
        .iter()
        .flat_map(|file| file.service.iter().map(move |service| (file, service)));
    let methods = services.flat_map(|(file, service)| {
        let describe = move |method| (path(file, service, method), description(method));
        service.method.iter().map(describe)
    });
    Ok(methods.collect())
}

fn path(
    file: &FileDescriptorProto,
    service: &ServiceDescriptorProto,
    method: &MethodDescriptorProto,
) -> String {
    let method = method.name();
    match (file.package(), service.name()) {
        // Without a name, the path would be that of a service named like the package.
        (_, "") => format!("//{method}"),
        ("", service) => format!("/{service}/{method}"),
        (package, service) => format!("/{package}.{service}/{method}"),
    }
}

fn description(method: &MethodDescriptorProto) -> Description {
    let options = method.options.as_ref();
    Description {
        kind: match (method.client_streaming(), method.server_streaming()) {
            (false, false) => MethodKind::Unary,
            (false, true) => MethodKind::ServerStreaming,
            (true, false) => MethodKind::ClientStreaming,
            (true, true) => MethodKind::BidiStreaming,
        },
        safety: match options.map(MethodOptions::idempotency_level) {
            Some(IdempotencyLevel::NoSideEffects) => Safety::NoSideEffects,
            Some(IdempotencyLevel::Idempotent) => Safety::Idempotent,
            Some(IdempotencyLevel::IdempotencyUnknown) | None => Safety::Unknown,
        },
    }
}
