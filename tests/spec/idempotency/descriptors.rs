//! What the protos say of their methods. CONTRACT I5.

use std::error::Error as _;

use grpc_resilience::call::{Method, Safety};
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::idempotency::{IdempotencyLayer, InvalidDescriptors};
use grpc_resilience::{GiveUp, Resilience};
use proptest::prelude::*;
use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, MethodOptions,
    ServiceDescriptorProto,
};
use test_protos::{EchoClient, FILE_DESCRIPTOR_SET};
use testing::{Answer, Server, method};
use tonic::Code;

use super::declared::{client, layer, repeated};
use crate::support::{policy, undeclared};

/// The methods of the test service, as a build script writes them.
const TABLE: [Method; 3] = [
    Method::new(method::UNARY, MethodKind::Unary, Safety::Unknown),
    Method::new(
        method::UNARY_IDEMPOTENT,
        MethodKind::Unary,
        Safety::Idempotent,
    ),
    Method::new(
        method::SERVER_STREAM,
        MethodKind::ServerStreaming,
        Safety::Unknown,
    ),
];

fn described() -> IdempotencyLayer {
    IdempotencyLayer::from_descriptors(FILE_DESCRIPTOR_SET).unwrap()
}

/// A set of one file with one method.
fn set(package: Option<&str>, service: &str, method: &str) -> FileDescriptorSet {
    let method = MethodDescriptorProto {
        name: Some(method.to_owned()),
        ..MethodDescriptorProto::default()
    };
    let service = ServiceDescriptorProto {
        name: Some(service.to_owned()),
        method: vec![method],
        ..ServiceDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        package: package.map(str::to_owned),
        service: vec![service],
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }
}

fn refusal(bytes: &[u8]) -> InvalidDescriptors {
    IdempotencyLayer::from_descriptors(bytes).unwrap_err()
}

// CONTRACT I2, I5: all that may have run and was declared by its proto, and nothing else
// Over tonic alone: ours fails fast once two connections were lost unanswered.
#[tokio::test(start_paused = true)]
async fn what_its_proto_declares_is_repeated_and_the_rest_is_not() {
    let server = Server::in_memory();
    let lost = Answer::drop_connection().reading_request();
    server.script().otherwise(lost);
    let mut client = client(&server, described(), policy());
    let statuses = [
        client.unary(undeclared()).await.unwrap_err(),
        client.unary_unknown(undeclared()).await.unwrap_err(),
        client.server_stream(undeclared()).await.unwrap_err(),
        client.unary_idempotent(undeclared()).await.unwrap_err(),
        client
            .unary_no_side_effects(undeclared())
            .await
            .unwrap_err(),
        client
            .server_stream_idempotent(undeclared())
            .await
            .unwrap_err(),
    ];
    let reasons = statuses.iter().map(|status| GiveUp::find(status).unwrap());
    let (denied, spent) = (GiveUp::NotIdempotent, GiveUp::AttemptsExhausted);
    assert!(reasons.eq([denied, denied, denied, spent, spent, spent]));
    let attempts = |method| server.calls_to(method).len();
    assert_eq!(attempts(method::UNARY), 1);
    assert_eq!(attempts(method::UNARY_UNKNOWN), 1);
    assert_eq!(attempts(method::SERVER_STREAM), 1);
    assert_eq!(attempts(method::UNARY_IDEMPOTENT), 4);
    assert_eq!(attempts(method::UNARY_NO_SIDE_EFFECTS), 4);
    assert_eq!(attempts(method::SERVER_STREAM_IDEMPOTENT), 4);
}

// CONTRACT I5: code beats the proto, both ways
#[transports::test(start_paused = true)]
async fn a_path_a_glob_and_a_closure_beat_the_proto() {
    assert_eq!(repeated(described()).await, [false, true, true, false]);

    let denied = described().not_idempotent(method::UNARY_IDEMPOTENT);
    let expected = [false, false, true, false];
    assert_eq!(repeated(denied.unwrap()).await, expected);
    let denied = described().not_idempotent("/*/UnaryI*");
    assert_eq!(repeated(denied.unwrap()).await, expected);
    let denied =
        described().idempotent_if(|it| it.ends_with("Idempotent").then_some(Safety::Unknown));
    assert_eq!(repeated(denied).await, expected);

    let allowed = described().idempotent(method::UNARY_UNKNOWN);
    let expected = [false, true, true, true];
    assert_eq!(repeated(allowed.unwrap()).await, expected);
    let allowed = described().idempotent("/*/*Unknown");
    assert_eq!(repeated(allowed.unwrap()).await, expected);
    let allowed =
        described().idempotent_if(|it| it.ends_with("Unknown").then_some(Safety::Idempotent));
    assert_eq!(repeated(allowed).await, expected);
}

// CONTRACT R6: its proto says that one message comes, so that the head is held for the trailers
#[transports::test(start_paused = true)]
async fn a_status_in_trailers_is_retried_for_a_method_that_its_proto_calls_unary() {
    let late = || [Answer::status_in_trailers(Code::Unavailable, "late")];
    let server = Server::in_memory();
    server.script().on(method::UNARY_IDEMPOTENT, late());
    let mut told = client(&server, described(), policy());
    told.unary_idempotent(undeclared()).await.unwrap();
    assert_eq!(server.count(), 2);

    // A stream has begun with its head.
    server.clear();
    server.script().on(method::SERVER_STREAM_IDEMPOTENT, late());
    let begun = told.server_stream_idempotent(undeclared()).await.unwrap();
    begun.into_inner().message().await.unwrap_err();
    assert_eq!(server.count(), 1);

    // So it has for whoever knows nothing of it, and for a kind that code declares.
    let untold = layer().idempotent("/**").unwrap();
    let stream = described()
        .kind("/*/UnaryI*", MethodKind::ServerStreaming)
        .unwrap();
    for layer in [untold, stream] {
        server.clear();
        server.script().on(method::UNARY_IDEMPOTENT, late());
        let mut client = client(&server, layer, policy());
        client.unary_idempotent(undeclared()).await.unwrap_err();
        assert_eq!(server.count(), 1);
    }
}

// The same words from constants.
#[transports::test(start_paused = true)]
async fn a_table_of_constants_declares_as_descriptors_do() {
    let owned = layer().methods(TABLE).unwrap();
    assert_eq!(repeated(owned).await, [false, true, false, false]);
    let borrowed = layer().methods(&TABLE[..2]).unwrap();
    assert_eq!(repeated(borrowed).await, [false, true, false, false]);
    let both = described().methods(TABLE).unwrap();
    assert_eq!(repeated(both).await, [false, true, true, false]);

    let server = Server::in_memory();
    let late = Answer::status_in_trailers(Code::Unavailable, "late");
    server.script().on(method::UNARY_IDEMPOTENT, [late]);
    let channel = Resilience::new().methods(TABLE).unwrap();
    let mut client = EchoClient::new(channel.wrap(server.channel()));
    client.unary_idempotent(undeclared()).await.unwrap();
    assert_eq!(server.count(), 2);
}

#[test]
fn the_kind_of_a_method_is_told_by_its_proto() {
    let layer = described();
    for (path, kind) in [
        (method::UNARY, MethodKind::Unary),
        (method::SERVER_STREAM, MethodKind::ServerStreaming),
        (method::CLIENT_STREAM, MethodKind::ClientStreaming),
        (method::BIDI_STREAM, MethodKind::BidiStreaming),
    ] {
        assert_eq!(layer.explain(path).kind(), Some(kind), "{path}");
    }
}

#[test]
fn a_service_without_a_package_has_a_path_without_one() {
    for package in [None, Some("")] {
        let bytes = set(package, "Orders", "Get").encode_to_vec();
        let layer = IdempotencyLayer::from_descriptors(&bytes).unwrap();
        assert_eq!(layer.unannotated_methods(), ["/Orders/Get"]);
    }
    let bytes = set(Some("shop.v1"), "Orders", "Get").encode_to_vec();
    let layer = IdempotencyLayer::from_descriptors(&bytes).unwrap();
    assert_eq!(layer.unannotated_methods(), ["/shop.v1.Orders/Get"]);
}

#[test]
fn several_sets_merge_and_the_same_words_twice_are_one() {
    let other = set(Some("shop.v1"), "Orders", "Get").encode_to_vec();
    let merged = described().descriptors(&other).unwrap();
    let again = merged.clone().descriptors(FILE_DESCRIPTOR_SET).unwrap();
    for layer in [merged, again] {
        let kind = |path| layer.explain(path).kind();
        assert_eq!(kind("/shop.v1.Orders/Get"), Some(MethodKind::Unary));
        assert_eq!(kind(method::BIDI_STREAM), Some(MethodKind::BidiStreaming));
    }
}

// One method in other words: nobody can know which are true.
#[test]
fn a_method_that_is_described_in_two_ways_is_refused() {
    let names_it = |refused: InvalidDescriptors| {
        let path = method::UNARY_UNKNOWN;
        matches!(&refused, InvalidDescriptors::Contradiction(it) if it == path)
            && refused.to_string().contains(path)
    };

    let mut other = set(Some("test.v1"), "Echo", "UnaryUnknown");
    described().descriptors(&other.encode_to_vec()).unwrap();
    let described_again = &mut other.file[0].service[0].method[0];
    described_again.server_streaming = Some(true);
    let refused = described().descriptors(&other.encode_to_vec()).unwrap_err();
    assert!(names_it(refused));

    let described_again = &mut other.file[0].service[0].method[0];
    described_again.server_streaming = None;
    let mut options = MethodOptions::default();
    options.set_idempotency_level(IdempotencyLevel::Idempotent);
    described_again.options = Some(options);
    let refused = described().descriptors(&other.encode_to_vec()).unwrap_err();
    assert!(names_it(refused));

    // Also within a set, and between a table and a set.
    let both = [FILE_DESCRIPTOR_SET, &other.encode_to_vec()].concat();
    assert!(names_it(refusal(&both)));
    let table = [Method::new(
        method::UNARY_UNKNOWN,
        MethodKind::Unary,
        Safety::NoSideEffects,
    )];
    assert!(names_it(described().methods(table).unwrap_err()));
}

// Bad configuration is a typed error at construction, which says what to do.
#[test]
fn bytes_that_describe_nothing_are_refused() {
    assert!(matches!(refusal(&[]), InvalidDescriptors::Empty));
    assert!(refusal(&[]).to_string().contains("tonic-prost-build"));

    let malformed = refusal(b"not a descriptor");
    assert!(matches!(malformed, InvalidDescriptors::Malformed(_)));
    let source = malformed.source().unwrap();
    assert!(source.to_string().contains("decode"), "{source}");
    assert!(malformed.to_string().contains("file_descriptor_set_path"));

    let mut idle = set(Some("shop.v1"), "Orders", "Get");
    idle.file[0].service[0].method.clear();
    assert!(matches!(
        refusal(&idle.encode_to_vec()),
        InvalidDescriptors::NoMethod
    ));
    assert!(matches!(
        layer().methods([] as [Method; 0]).unwrap_err(),
        InvalidDescriptors::NoMethod
    ));
}

#[test]
fn a_service_or_a_method_without_a_name_is_refused() {
    for (service, method, path) in [
        ("", "Get", "//Get"),
        ("Orders", "", "/shop.v1.Orders/"),
        ("Orders", "Get/All", "/shop.v1.Orders/Get/All"),
    ] {
        let refused = refusal(&set(Some("shop.v1"), service, method).encode_to_vec());
        let named = matches!(&refused, InvalidDescriptors::Nameless(it) if it == path);
        assert!(named, "{refused}");
        assert!(refused.to_string().contains(path), "{refused}");
    }
    let misspelt = [Method::new(
        "shop.v1.Orders/Get",
        MethodKind::Unary,
        Safety::Unknown,
    )];
    let refused = layer().methods(misspelt).unwrap_err();
    assert!(matches!(refused, InvalidDescriptors::Nameless(_)));
}

// A cut between two files leaves a smaller set that is valid: no reader can tell. Any other is seen.
#[test]
fn truncated_descriptors_are_refused_at_every_byte() {
    let other = set(Some("shop.v1"), "Orders", "Get").encode_to_vec();
    let both = [FILE_DESCRIPTOR_SET, &other].concat();
    IdempotencyLayer::from_descriptors(&both).unwrap();
    for end in 1..both.len() {
        let cut = IdempotencyLayer::from_descriptors(&both[..end]);
        if end == FILE_DESCRIPTOR_SET.len() {
            cut.unwrap();
        } else {
            let refused = cut.unwrap_err();
            assert!(matches!(refused, InvalidDescriptors::Malformed(_)), "{end}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = IdempotencyLayer::from_descriptors(&bytes);
    }

    #[test]
    fn no_damage_to_a_set_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = FILE_DESCRIPTOR_SET.to_vec();
        for (index, byte) in damage {
            bytes[index.index(FILE_DESCRIPTOR_SET.len())] = byte;
        }
        let _ = IdempotencyLayer::from_descriptors(&bytes);
    }
}
