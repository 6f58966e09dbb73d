//! The table of FIELD.md, section 4, as it is in this build; shown with `--nocapture`.

use grpc_resilience::{BoxError, Error};
use peer::{Connection, LastStream, Reason, Step};
use tonic::transport::Channel;

use super::super::SERVER_FEATURE;
use super::{answered, connecting, not_http2, queued, reached, tonic_codes, unprocessed, verdict};
use peer::connector::{Broken, nowhere};

// Over tonic alone: the table is of tonic's errors.
#[tokio::test]
async fn the_verdicts_of_this_build() {
    println!("\ntonic with its server feature: {SERVER_FEATURE}");
    line("event", "progress", "code", "reason", "tonic's own code");
    for (event, error) in all().await {
        // A failure of a body is ours already: it was told that the head had come.
        let (progress, code, reason) = match error.downcast_ref::<Error>() {
            Some(ours) => (ours.verdict().progress, ours.code(), ours.verdict().reason),
            None => verdict(&error),
        };
        let (progress, tonics) = (format!("{progress:?}"), tonic_codes::code(error));
        line(
            &event,
            &progress,
            code.name(),
            reason.name(),
            &format!("{tonics:?}"),
        );
    }
}

fn line(event: &str, progress: &str, code: &str, reason: &str, tonics: &str) {
    println!("{event:<48} {progress:<9} {code:<18} {reason:<18} {tonics}");
}

async fn all() -> Vec<(String, BoxError)> {
    let mut rows = not_sent().await;
    rows.extend(reached().await);
    for (reason, name, _) in reached::RESETS {
        rows.push((format!("RST_STREAM {name}"), reached::reset(reason).await));
    }
    rows
}

async fn not_sent() -> Vec<(String, BoxError)> {
    let [_, waiting, queued] = queued::crowd([Step::Close]).await;
    let broken = nowhere().connect_with_connector_lazy(Broken);
    let [unready, _] = connecting::connector_not_ready(broken).await;
    let [given, _] = connecting::connector_not_ready(Channel::new(Broken, nowhere())).await;
    let after = queued::after_goaway(LastStream::This, Reason::NO_ERROR).await;
    let own_timeout = connecting::timed_out_with_a_connector_of_ones_own().await;
    named([
        ("connect refused", connecting::refused().await),
        ("connect timeout, built in", connecting::timed_out().await),
        ("connect timeout, own connector", own_timeout),
        (
            "own connector fails",
            connecting::failed_in_a_connector_of_ones_own().await,
        ),
        (
            "connector given to the channel fails",
            connecting::failed_in_a_connector_given_to_the_channel().await,
        ),
        ("own connector never ready", unready),
        ("connector given to the channel never ready", given),
        ("queued as the connection closes", queued),
        ("first call after a graceful GOAWAY", after),
        ("waiting for a slot as the connection closes", waiting),
        ("RST_STREAM REFUSED_STREAM", unprocessed::refused().await),
        (
            "GOAWAY below the stream, NO_ERROR",
            unprocessed::above_goaway(Reason::NO_ERROR).await,
        ),
        (
            "GOAWAY below the stream, INTERNAL_ERROR",
            unprocessed::above_goaway(Reason::INTERNAL_ERROR).await,
        ),
        (
            "GOAWAY below the stream, ENHANCE_YOUR_CALM",
            unprocessed::above_goaway(Reason::ENHANCE_YOUR_CALM).await,
        ),
        (
            "garbage before the request",
            not_http2::before_the_request(not_http2::BAD_FRAME).await,
        ),
        (
            "HTTP/1 before the request",
            not_http2::before_the_request(not_http2::HTTP1).await,
        ),
    ])
}

async fn reached() -> Vec<(String, BoxError)> {
    named([
        (
            "HTTP/1 after the request",
            not_http2::after_the_request(not_http2::HTTP1).await,
        ),
        (
            "garbage after the request",
            not_http2::after_the_request(not_http2::BAD_FRAME).await,
        ),
        (
            "the only call, without a slot, FIN",
            queued::no_slot().await,
        ),
        (
            "GOAWAY above the stream, then FIN",
            reached::below_goaway().await,
        ),
        (
            "GOAWAY at the stream, then FIN",
            reached::at_goaway(Reason::NO_ERROR, Step::Close).await,
        ),
        (
            "GOAWAY at the stream, then RST",
            reached::at_goaway(Reason::NO_ERROR, Step::Abort).await,
        ),
        ("TCP FIN mid-call", reached::closed().await),
        ("TCP RST mid-call", reached::aborted().await),
        (
            "HTTP/2 keepalive timeout",
            reached::keepalive(Connection::silent()).await,
        ),
        ("grpc-timeout expired", reached::grpc_timeout().await),
        (
            "Endpoint::timeout expired",
            reached::endpoint_timeout().await,
        ),
        (
            "REFUSED_STREAM after the head, in a layer",
            answered::reset(Reason::REFUSED_STREAM).await,
        ),
        (
            "CANCEL after the head, in a layer",
            answered::reset(Reason::CANCEL).await,
        ),
        (
            "TCP FIN after the head, in a layer",
            answered::cut(Step::Close).await,
        ),
        (
            "TCP RST after the head, in a layer",
            answered::cut(Step::Abort).await,
        ),
    ])
}

fn named<const N: usize>(rows: [(&str, BoxError); N]) -> Vec<(String, BoxError)> {
    rows.map(|(event, error)| (event.to_owned(), error)).into()
}
