//! Who declared what, and what nobody declared. CONTRACT I5.

use grpc_resilience::Resilience;
use grpc_resilience::call::{Method, Safety};
use grpc_resilience::grpc::MethodKind;
use grpc_resilience::idempotency::{IdempotencyKey, IdempotencyLayer, Source};
use test_protos::{EchoClient, FILE_DESCRIPTOR_SET};
use testing::{Server, method};
use tower::Layer as _;

use super::declared::{client, layer};
use crate::support::{declared, policy, undeclared};

const GET: &str = "/shop.v1.Orders/Get";
const ORDERS: [Method; 1] = [Method::new(GET, MethodKind::Unary, Safety::NoSideEffects)];

fn described() -> IdempotencyLayer {
    IdempotencyLayer::from_descriptors(FILE_DESCRIPTOR_SET).unwrap()
}

fn key() -> IdempotencyKey {
    IdempotencyKey::random().deduplicated()
}

type Declare = fn(IdempotencyLayer) -> IdempotencyLayer;

/// What each source says of one method, the strongest first.
fn sources() -> [(Source, Declare); 6] {
    let glob = |glob: &str| Source::Glob(glob.to_owned());
    [
        (Source::Path, |layer| layer.no_side_effects(GET).unwrap()),
        (glob("/**"), |layer| layer.not_idempotent("/**").unwrap()),
        (glob("/shop.v1.*/*"), |layer| {
            layer.idempotent("/shop.v1.*/*").unwrap()
        }),
        (Source::Closure(0), |layer| {
            layer.idempotent_if(|_| Some(Safety::Unknown))
        }),
        (
            Source::Key(http::HeaderName::from_static("idempotency-key")),
            |layer| layer.key("/**", key()).unwrap(),
        ),
        (Source::Proto, |layer| layer.methods(ORDERS).unwrap()),
    ]
}

// CONTRACT I5: each pair, added in both orders
#[test]
fn of_two_sources_the_stronger_one_is_told_whichever_was_added_first() {
    let sources = sources();
    for (rank, (source, stronger)) in sources.iter().enumerate() {
        assert_eq!(stronger(layer()).explain(GET).source(), source);
        for (_, weaker) in &sources[rank + 1..] {
            for both in [weaker(stronger(layer())), stronger(weaker(layer()))] {
                let said = both.explain(GET);
                assert_eq!(said.source(), source, "{both:?}");
                assert_eq!(said.safety(), stronger(layer()).explain(GET).safety());
            }
        }
    }
    assert_eq!(layer().explain(GET).source(), &Source::Undeclared);
}

// The kind: what code says before what the proto says.
#[test]
fn the_kind_is_told_by_its_path_then_a_glob_then_its_proto() {
    let told = layer().methods(ORDERS).unwrap();
    let said = |layer: &IdempotencyLayer| {
        let said = layer.explain(GET);
        (said.kind(), said.kind_source().clone())
    };
    assert_eq!(said(&layer()), (None, Source::Undeclared));
    assert_eq!(said(&told), (Some(MethodKind::Unary), Source::Proto));
    let told = told.kind("/**", MethodKind::BidiStreaming).unwrap();
    let glob = Source::Glob("/**".to_owned());
    assert_eq!(said(&told), (Some(MethodKind::BidiStreaming), glob));
    let told = told.kind(GET, MethodKind::ClientStreaming).unwrap();
    let kind = Some(MethodKind::ClientStreaming);
    assert_eq!(said(&told), (kind, Source::Path));
}

#[test]
fn an_explanation_reads_well_in_one_line() {
    let none = |_: &str| None;
    let all = |_: &str| Some(Safety::NoSideEffects);
    let glob = layer().not_idempotent("/shop.*/*").unwrap();
    for (layer, text) in [
        (
            layer().methods(ORDERS).unwrap(),
            "safe to repeat (no side effects), by its proto; unary, by its proto",
        ),
        (layer(), "not repeated once it may have run: not declared"),
        (
            glob.kind("/**", MethodKind::ServerStreaming).unwrap(),
            "not repeated once it may have run, by the glob /shop.*/*; \
             server streaming, by the glob /**",
        ),
        (
            layer().idempotent(GET).unwrap().unary(GET).unwrap(),
            "safe to repeat (idempotent), by its path; unary, by its path",
        ),
        (
            layer().idempotent_if(none).idempotent_if(all),
            "safe to repeat (no side effects), by closure 1",
        ),
        (
            layer().key("/**", key().header("X-Once").unwrap()).unwrap(),
            "safe to repeat (idempotent), by its key in x-once",
        ),
    ] {
        assert_eq!(layer.explain(GET).to_string(), format!("{GET}: {text}"));
    }
}

// Nobody declares what is no method, though a glob or a closure would match its text.
#[test]
fn what_has_not_the_form_of_a_method_is_declared_by_nobody() {
    let all = layer().idempotent("/**").unwrap();
    let all = all
        .unary("/**")
        .unwrap()
        .idempotent_if(|_| Some(Safety::Idempotent));
    for path in [
        "",
        "/",
        "Get",
        "/Get",
        "//Get",
        "/shop.v1.Orders/",
        "shop/Get",
    ] {
        let said = all.explain(path);
        assert_eq!(said.method(), path);
        assert_eq!(said.safety(), Safety::Unknown, "{path}");
        assert_eq!(said.source(), &Source::Undeclared, "{path}");
        assert_eq!(said.kind(), None, "{path}");
    }
    let prefixed = all.explain("/cluster/shop.v1.Orders/Get");
    assert_eq!(prefixed.method(), GET);
    assert_eq!(prefixed.safety(), Safety::Idempotent);
}

#[test]
fn the_described_methods_that_nobody_annotated_are_listed() {
    let unannotated = [
        method::BIDI_STREAM,
        method::CLIENT_STREAM,
        method::SERVER_STREAM,
        method::UNARY,
        method::UNARY_UNKNOWN,
    ];
    assert_eq!(described().unannotated_methods(), unannotated);
    assert_eq!(
        Resilience::new()
            .descriptors(FILE_DESCRIPTOR_SET)
            .unwrap()
            .unannotated_methods(),
        unannotated
    );
    let kind = described().unary("/**").unwrap();
    assert_eq!(
        kind.unannotated_methods(),
        unannotated,
        "a kind says nothing"
    );

    let said = described()
        .not_idempotent(method::UNARY)
        .unwrap()
        .no_side_effects("/*/Unary*")
        .unwrap()
        .idempotent_if(|method| method.ends_with("ServerStream").then_some(Safety::Unknown))
        .key("/*/BidiStream", key())
        .unwrap();
    assert_eq!(said.unannotated_methods(), [method::CLIENT_STREAM]);
    let sent_only = described().key("/**", IdempotencyKey::random()).unwrap();
    assert_eq!(sent_only.unannotated_methods(), unannotated);
    assert_eq!(layer().unannotated_methods(), [""; 0]);
}

#[transports::test(start_paused = true)]
async fn a_method_that_is_called_and_unknown_to_everybody_is_listed() {
    let server = Server::in_memory();
    let orders = layer().methods(ORDERS).unwrap();
    let mut known = client(&server, orders.clone(), policy());
    known.unary(undeclared()).await.unwrap();
    known.unary_unknown(declared()).await.unwrap();
    assert_eq!(orders.unannotated_methods(), [method::UNARY]);

    // All that share its declarations share the list.
    let sibling = orders.clone();
    let mut other = client(&server, sibling.clone(), policy());
    other.server_stream(undeclared()).await.unwrap();
    let both = [method::SERVER_STREAM, method::UNARY];
    assert_eq!(orders.unannotated_methods(), both);
    assert_eq!(sibling.unannotated_methods(), both);

    // With more declared it is another layer.
    let more = sibling.idempotent("/*/Unary*").unwrap().key("/*/S*", key());
    let more = more.unwrap();
    assert_eq!(more.unannotated_methods(), [""; 0]);
    let mut client = client(&server, more.clone(), policy());
    client.unary(undeclared()).await.unwrap();
    client.server_stream(undeclared()).await.unwrap();
    assert_eq!(more.unannotated_methods(), [""; 0]);
    client.client_stream(tokio_stream::empty()).await.unwrap();
    assert_eq!(more.unannotated_methods(), [method::CLIENT_STREAM]);
    assert_eq!(orders.unannotated_methods(), both);
}

// An exception is an annotation; so is a key, though this call got none, and the word of a layer
// further out. Without descriptors nobody claims to know all methods.
#[transports::test(start_paused = true)]
async fn a_method_that_anybody_declared_is_not_listed() {
    let server = Server::in_memory();
    let undescribed = layer().idempotent(GET).unwrap();
    let exception = layer().methods(ORDERS).unwrap().not_idempotent("/**");
    let none = IdempotencyKey::from_request(|_| None).deduplicated();
    let keyed = layer().methods(ORDERS).unwrap().key("/**", none);
    for layer in [undescribed, exception.unwrap(), keyed.unwrap()] {
        let mut client = client(&server, layer.clone(), policy());
        client.unary(undeclared()).await.unwrap();
        assert_eq!(layer.unannotated_methods(), [""; 0]);
    }
    let inner = layer().methods(ORDERS).unwrap();
    let outer = layer().not_idempotent("/**").unwrap();
    let both = outer.layer(inner.layer(server.channel()));
    EchoClient::new(both).unary(undeclared()).await.unwrap();
    assert_eq!(inner.unannotated_methods(), [""; 0]);
}

#[transports::test(start_paused = true)]
async fn the_builder_explains_and_lists_what_its_channels_do() {
    let server = Server::in_memory();
    let stack = Resilience::new()
        .idempotent("/test.v1.Echo/UnaryI*")
        .unwrap()
        .methods(ORDERS)
        .unwrap();
    let mut client = EchoClient::new(stack.wrap(server.channel()));
    client.unary(undeclared()).await.unwrap();
    assert_eq!(stack.unannotated_methods(), [method::UNARY]);
    assert_eq!(stack.explain(GET).source(), &Source::Proto);

    // A layer given later declares in the place of all that.
    let replaced = stack.idempotency(layer().idempotent(GET).unwrap());
    assert_eq!(replaced.explain(GET).source(), &Source::Path);
    let before = replaced.explain(method::UNARY_IDEMPOTENT);
    assert_eq!(before.source(), &Source::Undeclared);
}

// CONTRACT V2
#[test]
fn an_exception_says_what_is_wrong_with_its_pattern_and_then_whether_it_matches() {
    let described = || layer().methods(ORDERS).unwrap();
    let fault = |pattern: &str| described().not_idempotent(pattern).unwrap_err().to_string();
    for pattern in ["/shop.v1.Orders/{Get,Put}*", "/shop.v1.Orders/Get|Put"] {
        assert!(
            fault(pattern).contains("a pattern for each alternative"),
            "{}",
            fault(pattern)
        );
    }
    let malformed = fault("/shop.v1.Orders/Get[");
    assert!(malformed.contains("is a malformed glob"), "{malformed}");
    let blank = fault("/shop.v1.Orders/Get ");
    assert!(
        blank.contains("remove it") && !blank.contains("alternative"),
        "{blank}"
    );
    // The method and the service may be misspelt.
    for pattern in ["/shop.v1.Orders/Gett", "/shop.v1.Oders/Get"] {
        assert!(
            fault(pattern).contains("check its spelling"),
            "{}",
            fault(pattern)
        );
    }
}
