//! The layer: who declares what, and whose word counts. CONTRACT I5.

use grpc_resilience::call::{CallOptionsExt, Context, Safety};
use grpc_resilience::idempotency::{Idempotency, IdempotencyLayer};
use grpc_resilience::methods::InvalidPattern;
use grpc_resilience::retry::{Retry, RetryLayer, RetryPolicy};
use grpc_resilience::{GiveUp, Resilience};
use test_protos::EchoClient;
use testing::{Server, method};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use transports::Channel;

use crate::support::{policy, unavailable, undeclared};

pub(super) type Client = EchoClient<Idempotency<Retry<Channel>>>;

pub(super) fn client(server: &Server, layer: IdempotencyLayer, policy: RetryPolicy) -> Client {
    let channel = ServiceBuilder::new()
        .layer(layer)
        .layer(RetryLayer::new(policy))
        .service(server.channel());
    EchoClient::new(channel)
}

/// Which of the four unary methods are repeated: Unary, `UnaryIdempotent`, `UnaryNoSideEffects`,
/// `UnaryUnknown`.
pub(super) async fn repeated(layer: IdempotencyLayer) -> [bool; 4] {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("down"));
    let mut client = client(&server, layer, policy());
    let outcomes = [
        client.unary(undeclared()).await,
        client.unary_idempotent(undeclared()).await,
        client.unary_no_side_effects(undeclared()).await,
        client.unary_unknown(undeclared()).await,
    ];
    let methods = [
        method::UNARY,
        method::UNARY_IDEMPOTENT,
        method::UNARY_NO_SIDE_EFFECTS,
        method::UNARY_UNKNOWN,
    ];
    std::array::from_fn(|index| {
        let status = outcomes[index].as_ref().unwrap_err();
        let attempts = server.calls_to(methods[index]).len();
        let reason = GiveUp::find(status);
        assert!(
            (attempts, reason) == (4, Some(GiveUp::AttemptsExhausted))
                || (attempts, reason) == (1, Some(GiveUp::NotIdempotent)),
            "{attempts} {reason:?}"
        );
        attempts > 1
    })
}

pub(super) fn layer() -> IdempotencyLayer {
    IdempotencyLayer::new()
}

// CONTRACT I2, I5: nothing declared, nothing repeated
#[transports::test(start_paused = true)]
async fn nothing_is_repeated_by_default() {
    assert_eq!(repeated(layer()).await, [false; 4]);
}

#[transports::test(start_paused = true)]
async fn an_exact_path_declares_one_method() {
    let exact = layer().idempotent(method::UNARY_IDEMPOTENT).unwrap();
    assert_eq!(repeated(exact).await, [false, true, false, false]);
    let exact = layer().no_side_effects(method::UNARY_UNKNOWN).unwrap();
    assert_eq!(repeated(exact).await, [false, false, false, true]);
}

#[transports::test(start_paused = true)]
async fn a_glob_declares_what_it_matches() {
    for (glob, expected) in [
        ("/test.v1.Echo/*", [true; 4]),
        ("/**", [true; 4]),
        ("/test.v?.Echo/Unary?*", [false, true, true, true]),
        ("/test.*/Unary", [true, false, false, false]),
        ("/test.v1.Echo/Unary[IN]*", [false, true, true, false]),
        ("/other.v1.Echo/*", [false; 4]),
        ("/test.v1.Echo/unary*", [false; 4]),
    ] {
        let layer = layer().idempotent(glob).unwrap();
        assert_eq!(repeated(layer).await, expected, "{glob}");
    }
}

#[transports::test(start_paused = true)]
async fn a_closure_declares_what_it_names() {
    let by = layer()
        .idempotent_if(|method| method.ends_with("Effects").then_some(Safety::NoSideEffects));
    assert_eq!(repeated(by).await, [false, false, true, false]);
}

// CONTRACT I5
#[transports::test(start_paused = true)]
async fn an_exact_path_beats_a_glob_and_a_glob_beats_a_closure() {
    let all = |_: &str| Some(Safety::Idempotent);
    let none = |_: &str| Some(Safety::Unknown);

    let exception = layer()
        .idempotent("/test.v1.Echo/*")
        .unwrap()
        .not_idempotent(method::UNARY)
        .unwrap();
    assert_eq!(repeated(exception).await, [false, true, true, true]);

    let declaration = layer()
        .not_idempotent("/test.v1.Echo/*")
        .unwrap()
        .idempotent(method::UNARY)
        .unwrap();
    assert_eq!(repeated(declaration).await, [true, false, false, false]);

    let glob_over_closure = layer()
        .idempotent_if(all)
        .not_idempotent("/*/Unary")
        .unwrap();
    assert_eq!(repeated(glob_over_closure).await, [false, true, true, true]);
    let glob_over_closure = layer().idempotent_if(none).idempotent("/*/Unary").unwrap();
    assert_eq!(
        repeated(glob_over_closure).await,
        [true, false, false, false]
    );

    assert_eq!(
        repeated(layer().idempotent_if(none).idempotent_if(all)).await,
        [false; 4]
    );
    assert_eq!(
        repeated(layer().idempotent_if(|_| None).idempotent_if(all)).await,
        [true; 4]
    );
}

// CONTRACT I5
#[transports::test(start_paused = true)]
async fn a_not_idempotent_glob_beats_the_other_globs_whichever_was_added_first() {
    let wide = |layer: IdempotencyLayer| layer.idempotent("/test.v1.Echo/*").unwrap();
    let read_only = |layer: IdempotencyLayer| layer.no_side_effects("/**").unwrap();
    let exception =
        |layer: IdempotencyLayer| layer.not_idempotent("/test.v1.Echo/Unary[IU]*").unwrap();
    for layer in [
        exception(wide(layer())),
        wide(exception(layer())),
        exception(read_only(wide(layer()))),
        read_only(exception(wide(layer()))),
        read_only(wide(exception(layer()))),
    ] {
        let said = repeated(layer.clone()).await;
        assert_eq!(said, [true, false, true, false], "{layer:?}");
    }
    // Also where the exception is the wider one.
    let narrow = layer().idempotent("/test.v1.Echo/UnaryI*").unwrap();
    let none = narrow.not_idempotent("/test.v1.Echo/*").unwrap();
    assert_eq!(repeated(none).await, [false; 4]);
}

// CONTRACT I5: the call's own word comes first
#[transports::test(start_paused = true)]
async fn the_call_s_word_beats_the_layer_s() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("down"));
    let declared = layer().idempotent(method::UNARY).unwrap();
    let denied = layer().not_idempotent(method::UNARY).unwrap();

    let mut request = undeclared();
    request.call_options().not_idempotent();
    let call = client(&server, declared.clone(), policy())
        .unary(request)
        .await;
    assert_eq!(
        GiveUp::find(&call.unwrap_err()),
        Some(GiveUp::NotIdempotent)
    );
    assert_eq!(server.count(), 1);

    server.clear();
    let mut request = undeclared();
    request.call_options().idempotent();
    client(&server, denied, policy())
        .unary(request)
        .await
        .unwrap_err();
    assert_eq!(server.count(), 4);

    // The wish was for one call.
    server.clear();
    client(&server, declared, policy())
        .unary(undeclared())
        .await
        .unwrap_err();
    assert_eq!(server.count(), 4);
}

// CONTRACT I5: a declaration beats an assumption
#[transports::test(start_paused = true)]
async fn a_method_declared_not_idempotent_is_not_repeated_whatever_is_assumed() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("down"));
    let exception = layer().not_idempotent(method::UNARY).unwrap();
    let mut client = client(&server, exception, policy().assume_idempotent());
    client.unary_unknown(undeclared()).await.unwrap_err();
    assert_eq!(server.count(), 4);
    server.clear();
    client.unary(undeclared()).await.unwrap_err();
    assert_eq!(server.count(), 1);
}

// CONTRACT I5, I4: a declaration made further out stays, but an exception always wins
#[transports::test(start_paused = true)]
async fn of_two_layers_the_outer_one_s_word_stays_unless_either_says_not_idempotent() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("down"));
    for (outer, inner, attempts) in [
        (layer().not_idempotent("/**"), layer().idempotent("/**"), 1),
        (layer().idempotent("/**"), layer().not_idempotent("/**"), 1),
        (
            layer().idempotent("/**"),
            layer().not_idempotent("/*/UnaryU*"),
            4,
        ),
        (Ok(layer()), layer().idempotent("/**"), 4),
        (layer().no_side_effects("/**"), Ok(layer()), 4),
    ] {
        server.clear();
        let channel = ServiceBuilder::new()
            .layer(outer.unwrap())
            .layer(inner.unwrap())
            .layer(RetryLayer::new(policy()))
            .service(server.channel());
        EchoClient::new(channel)
            .unary(undeclared())
            .await
            .unwrap_err();
        assert_eq!(server.count(), attempts);
    }
}

// CONTRACT I5, I4: a gateway that forwards the extensions of what it serves
#[transports::test(start_paused = true)]
async fn a_declaration_that_leaks_through_a_gateway_does_not_repeat_what_is_not_idempotent() {
    let server = Server::in_memory();
    server.script().otherwise(unavailable("down"));
    let backend = Resilience::new()
        .not_idempotent(method::UNARY_UNKNOWN)
        .unwrap()
        .wrap(server.channel());
    let gateway = service_fn(move |mut request: http::Request<Body>| {
        *request.uri_mut() = method::UNARY_UNKNOWN.parse().unwrap();
        backend.clone().oneshot(request)
    });
    let front = layer().idempotent(method::UNARY).unwrap().layer(gateway);
    let status = EchoClient::new(front).unary(undeclared()).await;
    let status = status.unwrap_err();
    assert_eq!(status.message(), "down");
    assert_eq!(GiveUp::find(&status), Some(GiveUp::NotIdempotent));
    assert_eq!(server.calls_to(method::UNARY_UNKNOWN).len(), 1);
    assert_eq!(server.count(), 1);
}

// it annotates; alone it changes nothing
#[transports::test(start_paused = true)]
async fn alone_the_layer_changes_nothing() {
    let server = Server::in_memory();
    let down = || unavailable("down").metadata("x-zone", "b").pushback("5");
    server.script().on(method::UNARY, [down(), down()]);
    let all = layer().idempotent("/**").unwrap().unary("/**").unwrap();
    let fails = |status: &Status| {
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "down")
        );
        assert_eq!(GiveUp::find(status), None);
        status.metadata().clone().into_headers()
    };

    let plain = EchoClient::new(server.channel()).unary(undeclared()).await;
    let mut expected = fails(&plain.unwrap_err());
    let mut client = EchoClient::new(all.layer(server.channel()));
    let mut seen = fails(&client.unary(undeclared()).await.unwrap_err());
    for headers in [&mut expected, &mut seen] {
        headers.remove("date");
    }
    assert_eq!(seen, expected);
    let calls = server.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].metadata, calls[1].metadata);
    assert_eq!(calls[0].request, calls[1].request);
    client.unary(undeclared()).await.unwrap();
}

// What the layer writes is public, so that a user's own layer can act on it.
#[transports::test(start_paused = true)]
async fn what_is_declared_is_found_in_the_context() {
    use std::sync::{Arc, Mutex};

    use grpc_resilience::grpc::MethodKind;

    let server = Server::in_memory();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = Arc::clone(&seen);
    let channel = ServiceBuilder::new()
        .layer(
            layer()
                .no_side_effects(method::UNARY)
                .unwrap()
                .unary("/test.v1.Echo/Unary*")
                .unwrap(),
        )
        .map_request(move |request: http::Request<tonic::body::Body>| {
            let context = request.extensions().get::<Context>();
            let said = context.map(|context| (context.safety(), context.kind()));
            see.lock().unwrap().push(said);
            request
        })
        .service(server.channel());
    let mut client = EchoClient::new(channel);
    client.unary(undeclared()).await.unwrap();
    client.unary_unknown(undeclared()).await.unwrap();
    client.server_stream(undeclared()).await.unwrap();
    let unary = Some(MethodKind::Unary);
    assert_eq!(
        *seen.lock().unwrap(),
        [
            Some((Safety::NoSideEffects, unary)),
            Some((Safety::Unknown, unary)),
            None,
        ]
    );
}

// CONTRACT I5
#[transports::test(start_paused = true)]
async fn of_the_globs_that_allow_it_the_first_one_added_is_told() {
    for (wide_first, expected) in [(true, Safety::Idempotent), (false, Safety::NoSideEffects)] {
        let wide = |layer: IdempotencyLayer| layer.idempotent("/test.v1.Echo/*").unwrap();
        let narrow = |layer: IdempotencyLayer| layer.no_side_effects("/*/Unary").unwrap();
        let layer = if wide_first {
            narrow(wide(layer()))
        } else {
            wide(narrow(layer()))
        };
        let server = Server::in_memory();
        let channel = ServiceBuilder::new()
            .layer(layer)
            .map_request(move |request: http::Request<Body>| {
                let context = request.extensions().get::<Context>().unwrap();
                assert_eq!(context.safety(), expected);
                request
            })
            .service(server.channel());
        EchoClient::new(channel).unary(undeclared()).await.unwrap();
    }
}

// Bad configuration is a typed error at construction
#[test]
fn a_pattern_that_can_match_nothing_is_refused_at_construction() {
    for pattern in ["", "test.v1.Echo/Unary", "/test.v1.Echo", "/a/b/c"] {
        let refused = layer().idempotent(pattern).unwrap_err();
        assert_eq!(refused, InvalidPattern::NotAMethod(pattern.to_owned()));
    }
    for pattern in ["/test.v1.Echo/Un[ary", "/test.v1.Echo/***"] {
        for refused in [
            layer().idempotent(pattern),
            layer().no_side_effects(pattern),
            layer().not_idempotent(pattern),
            layer().unary(pattern),
        ] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, InvalidPattern::Glob { .. }));
            assert!(refused.to_string().contains(pattern), "{refused}");
        }
    }
}
