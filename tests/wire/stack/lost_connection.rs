//! A request is handed back, to wait for the channel and to go again, only if no connection could
//! be made for it. On a connection that was lost it may have run.

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::classify::Progress;
use grpc_resilience::{Error, Resilience, WaitForReadyLayer};
use peer::{LastStream, Reason, Step, Stream};
use tower::Layer as _;

use super::super::support::{channel, request};
use super::{call, streams, then};

/// How a connection is lost under a request that is complete.
fn losses() -> Vec<Stream> {
    let goaway = |last| Step::GoAway(last, Reason::NO_ERROR);
    vec![
        Stream::from([Step::AwaitRequest, Step::Abort]),
        Stream::from([Step::AwaitRequest, Step::Close]),
        Stream::from([Step::AwaitRequest, goaway(LastStream::This), Step::Close]),
        Stream::from([Step::AwaitRequest, goaway(LastStream::All), Step::Abort]),
    ]
}

fn assert_may_have_run(error: &Error) {
    assert_eq!(error.verdict().progress, Progress::Reached);
}

// CONTRACT I4, W3
#[transports::test(start_paused = true)]
async fn a_call_on_the_fast_path_is_not_handed_back_when_its_connection_is_lost() {
    for loss in losses() {
        for listens in [false, true] {
            let peer = then([loss.clone()]).await;
            let stack = Resilience::new().wrap(channel(&peer));
            let mut request = request();
            // A call that is listened to goes through the layers.
            let _report = listens.then(|| request.call_report());
            let error = call(&stack, request).await.map(drop).unwrap_err();
            assert_may_have_run(&error);
            assert_eq!(streams(&peer).len(), 1, "{loss:?}");
        }
    }
}

// CONTRACT I4, W3
#[transports::test(start_paused = true)]
async fn a_call_that_would_wait_does_not_go_again_when_its_connection_is_lost() {
    for loss in losses() {
        let peer = then([loss.clone()]).await;
        let stack = WaitForReadyLayer::new().layer(channel(&peer));
        let error = call(&stack, request()).await.map(drop).unwrap_err();
        assert_may_have_run(&error);
        assert_eq!(streams(&peer).len(), 1, "{loss:?}");
    }
}

// CONTRACT I4, W3: here it is that very request that tests the channel
#[transports::test(start_paused = true)]
async fn a_call_that_tests_the_channel_does_not_go_again_when_its_connection_is_lost() {
    use peer::{Connection, Peer};
    use tower::ServiceExt as _;

    for loss in losses() {
        let peer = Peer::start([Connection::new().streams([loss.clone()])]).await;
        let stack = Resilience::new().wrap(channel(&peer));
        let error = stack.oneshot(request()).await.map(drop).unwrap_err();
        assert_may_have_run(&error);
        assert_eq!(peer.streams_seen().len(), 1, "{loss:?}");

        let peer = Peer::start([Connection::new().streams([loss.clone()])]).await;
        let stack = WaitForReadyLayer::new().layer(channel(&peer));
        let error = stack.oneshot(request()).await.map(drop).unwrap_err();
        assert_may_have_run(&error);
        assert_eq!(peer.streams_seen().len(), 1, "{loss:?}");
    }
}
