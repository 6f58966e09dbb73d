//! The peer itself, as a tonic channel meets it.
#![cfg(test)]

mod support;

use bytes::Bytes;
use peer::client::{call, channel, endpoint, others_have_run, request_with, spawn};
use peer::{
    Connection, DeadPort, Gate, Headers, LastStream, Peer, Reason, SeenReset, Step, Stream,
};
use support::{failure, outcome, send};

#[tokio::test]
async fn answers_correctly_once_the_script_is_used_up() {
    let peer =
        Peer::start([Connection::new().streams([Stream::refuse(), Stream::status(14, "later")])])
            .await;
    let channel = channel(&peer);
    assert!(call(&channel).await.is_err());
    assert_eq!(call(&channel).await.unwrap().headers()["grpc-status"], "14");
    for _ in 0..3 {
        let answer = call(&channel).await.unwrap();
        assert_eq!(
            outcome(answer.into_body()).await,
            (vec![0; 5], "grpc-status 0".to_owned())
        );
    }
    assert_eq!(peer.connections(), 1);
    let ids: Vec<_> = peer.streams_seen().iter().map(|stream| stream.id).collect();
    assert_eq!(ids, [1, 3, 5, 7, 9]);
}

#[tokio::test]
async fn takes_large_bodies_and_remembers_them() {
    let peer = Peer::start([]).await;
    let body = Bytes::from(vec![7; 8 << 20]);
    let answer = send(channel(&peer), request_with(body.clone())).await;
    assert!(answer.is_ok());
    let seen = peer.streams_seen();
    assert!(seen[0].complete);
    assert!(seen[0].body == body);
}

#[tokio::test]
async fn sends_large_bodies_and_large_headers() {
    let message = vec![7; 1 << 20];
    let large = Headers::trailers(0)
        .with("large", vec![b'x'; 12_000])
        .with("larger", vec![b'y'; 40_000]);
    let steps = [
        Step::Headers(Headers::response()),
        Step::message(&message),
        Step::Headers(large),
    ];
    let peer = Peer::always(Connection::new().other_streams(Stream::from(steps))).await;
    let channel = endpoint(peer.uri())
        .http2_max_header_list_size(1 << 20)
        .connect_lazy();
    let (data, end) = outcome(call(&channel).await.unwrap().into_body()).await;
    assert_eq!(
        (data.len(), end.as_str()),
        (5 + message.len(), "grpc-status 0")
    );
}

#[tokio::test]
async fn a_small_window_holds_the_rest_of_a_body_back() {
    let peer = Peer::always(Connection::new().stream_window(3)).await;
    let channel = endpoint(peer.uri()).connect().await.unwrap();
    peer.settings_acknowledged(0).await;
    let call = spawn(&channel);
    peer.wait_for_streams(1).await;
    others_have_run().await;
    assert!(!call.is_finished());
    assert!(peer.streams_seen()[0].body.len() <= 3);
}

#[tokio::test]
async fn sees_that_a_dropped_call_resets_its_stream() {
    let peer = Peer::always(Connection::new().other_streams(Stream::stall())).await;
    let call = spawn(&channel(&peer));
    peer.wait_for_requests(1).await;
    call.abort();
    peer.wait_for_resets(1).await;
    assert_eq!(
        peer.resets_received(),
        [SeenReset {
            connection: 0,
            stream: 1,
            reason: Reason::CANCEL
        }]
    );
}

#[tokio::test]
async fn opens_slots_later() {
    let gate = Gate::new();
    let connection = Connection::new()
        .max_concurrent_streams(0)
        .then(Step::Gate(gate.clone()))
        .then(Step::MaxConcurrentStreams(1));
    let peer = Peer::start([connection]).await;
    let channel = endpoint(peer.uri()).connect().await.unwrap();
    peer.settings_acknowledged(0).await;
    let call = spawn(&channel);
    others_have_run().await;
    assert!(peer.streams_seen().is_empty());
    gate.open();
    assert!(call.await.unwrap().is_ok());
}

#[tokio::test]
async fn streams_of_one_connection_go_on_beside_each_other() {
    let gate = Gate::new();
    let held = Stream::from([
        Step::Gate(gate.clone()),
        Step::Headers(Headers::trailers_only(0)),
    ]);
    let peer = Peer::start([Connection::new().streams([held])]).await;
    let channel = channel(&peer);
    let first = spawn(&channel);
    peer.wait_for_streams(1).await;
    assert!(call(&channel).await.is_ok());
    assert!(!first.is_finished());
    gate.open();
    assert!(first.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_port_that_refused_can_be_listened_on_and_refuse_again() {
    let port = DeadPort::new();
    let channel = endpoint(port.uri()).connect_lazy();
    assert!(failure(call(&channel).await).contains("ConnectionRefused"));

    let peer = Peer::start_at(port, []).await;
    assert!(call(&channel).await.is_ok());
    assert_eq!(peer.open_connections(), 1);

    let port = peer.stop().await;
    assert!(
        failure_after_drain(&channel)
            .await
            .contains("ConnectionRefused")
    );

    let peer = Peer::start_at(port, []).await;
    assert!(call(&channel).await.is_ok());
    assert_eq!((peer.connections(), peer.streams_seen().len()), (1, 1));
}

/// The failure of the first call that no longer finds the old connection.
async fn failure_after_drain(channel: &tonic::transport::Channel) -> String {
    loop {
        let chain = failure(call(channel).await);
        if chain.contains("ConnectError") {
            return chain;
        }
    }
}

#[tokio::test]
async fn goaway_after_so_many_streams_lets_those_finish() {
    let connection = Connection::new().goaway_after(2, LastStream::This, Reason::NO_ERROR);
    let peer = Peer::start([connection]).await;
    let channel = channel(&peer);
    for _ in 0..2 {
        let answer = call(&channel).await.unwrap();
        assert_eq!(outcome(answer.into_body()).await.1, "grpc-status 0");
    }
    peer.wait_for_closed(1).await;
    assert_eq!(peer.open_connections(), 0);
}

#[tokio::test]
async fn tells_what_it_proved_not_to_have_processed_by_what_it_said_first() {
    let goaway = Step::GoAway(LastStream::Below, Reason::NO_ERROR);
    let answered = [
        Step::Headers(Headers::response()),
        Step::Reset(Reason::REFUSED_STREAM),
    ];
    let streams = [
        Stream::ok(b""),
        Stream::refuse(),
        Stream::reset(Reason::CANCEL),
        Stream::from(answered),
        Stream::from([goaway]),
    ];
    let peer = Peer::start([Connection::new().streams(streams)]).await;
    let channel = channel(&peer);
    for _ in 0..5 {
        if let Ok(answer) = call(&channel).await {
            outcome(answer.into_body()).await;
        }
    }
    let seen = peer.streams_seen();
    let disowned: Vec<_> = seen.iter().map(|stream| peer.disowned(stream)).collect();
    assert_eq!(disowned, [false, true, false, false, true]);
    assert!(!peer.aborted(0));
}
