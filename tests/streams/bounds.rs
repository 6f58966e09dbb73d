//! Timeouts, deadlines, and the end by a drop.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::streams::Resumable;
use grpc_resilience::{GiveUp, Resilience};
use test_protos::{EchoClient, EchoRequest};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Request, Status};

use crate::net::Net;
use crate::numbers::{Service, Step, steps};
use crate::{Numbers, all, asked, ms, numbers, take};

/// One number a call, and then silence.
fn silent() -> Service {
    Service::new(|asked| steps([Step::Token(asked.first()), Step::Hang]))
}

/// A stream that the server accepts and never opens.
fn unopened(
    net: &Net,
) -> grpc_resilience::streams::Builder<EchoRequest, test_protos::EchoResponse, u32> {
    let channel = net.channel();
    Resumable::builder(Request::new(EchoRequest::default()), move |request| {
        let mut client = EchoClient::new(channel.clone());
        async move { client.server_stream_idempotent(request).await }
    })
    .token(|number: &test_protos::EchoResponse| Some(number.index))
    .resume(|first, _| first.clone())
}

// CONTRACT S6
#[transports::test(start_paused = true)]
async fn a_silent_stream_is_opened_again() {
    let service = silent();
    let net = Net::new(&service);
    let builder = numbers(net.channel()).idle_timeout(Duration::from_secs(30));
    let mut stream = builder.build().unwrap();
    assert_eq!(take(&mut stream, 3).await, [1, 2, 3]);
    for wait in service.seen.waits() {
        assert!(wait >= ms(30_000) && wait <= ms(30_200), "{wait:?}");
    }
    let failures = stream.report().failures();
    assert_eq!(failures[0].verdict.reason.name(), "attempt_timed_out");
}

// CONTRACT S6
#[transports::test(start_paused = true)]
async fn each_message_begins_the_idle_time_anew_and_a_slow_reader_is_not_silence() {
    let slow = |number| [Step::Wait(ms(800)), Step::Token(number)];
    let service = Service::new(move |_| steps((1..9).flat_map(slow)));
    let net = Net::new(&service);
    let builder = numbers(net.channel()).idle_timeout(ms(1_000));
    let mut stream = builder.build().unwrap();
    assert_eq!(take(&mut stream, 4).await, [1, 2, 3, 4]);
    // What came meanwhile is read before the timer is asked.
    sleep(ms(2_000)).await;
    assert_eq!(take(&mut stream, 4).await, [5, 6, 7, 8]);
    assert_eq!(service.seen.count(), 1);
}

/// Looks once for the next event, and finds none.
async fn looks_in_vain(stream: &mut Numbers) {
    let looked = std::future::poll_fn(|cx| {
        let mut next = pin!(stream.next());
        Poll::Ready(next.as_mut().poll(cx).is_pending())
    });
    assert!(looked.await);
}

/// A stream with an idle timeout of 1 s. Its caller takes the first number, may look once more, and
/// is away for 5 s.
async fn absent(net: &Net, looks: bool) -> Numbers {
    let builder = numbers(net.channel()).idle_timeout(ms(1_000));
    let mut stream = builder.build().unwrap();
    assert_eq!(take(&mut stream, 1).await, [1]);
    if looks {
        looks_in_vain(&mut stream).await;
    }
    sleep(ms(5_000)).await;
    stream
}

// CONTRACT S6: HTTP/2 lets no more of a message through than the caller's window has room for
#[transports::test(start_paused = true)]
async fn a_large_message_that_comes_while_the_caller_does_other_things_is_not_silence() {
    for looks in [false, true] {
        let service = Service::new(|_| {
            let large = Step::Large(2, 300_000);
            steps([
                Step::Token(1),
                Step::Wait(ms(100)),
                large,
                Step::Token(3),
                Step::Hang,
            ])
        });
        let net = Net::new(&service);
        let mut stream = absent(&net, looks).await;
        let (seen, report) = (take(&mut stream, 2).await, stream.report());
        assert_eq!(
            seen,
            [2, 3],
            "{looks}: {report}: {:?}",
            report.last_status()
        );
        assert_eq!(service.seen.count(), 1, "{looks}: {report}");
    }
}

// CONTRACT S6
#[transports::test(start_paused = true)]
async fn the_time_in_which_the_caller_could_have_heard_something_is_silence() {
    // From the first look, whether or not the caller looks again meanwhile.
    for (looks, least, most) in [(true, 0, 300), (false, 1_000, 1_300)] {
        let service = silent();
        let net = Net::new(&service);
        let mut stream = absent(&net, looks).await;
        let back = Instant::now();
        assert_eq!(take(&mut stream, 1).await, [2]);
        let took = back.elapsed();
        assert!(took >= ms(least) && took <= ms(most), "{looks}: {took:?}");
    }
}

// CONTRACT S6
#[transports::test(start_paused = true)]
async fn an_opening_has_a_bound_apart_from_the_life_of_the_stream() {
    let net = Net::new(&silent());
    let started = Instant::now();
    let builder = unopened(&net).open_timeout(ms(1_000));
    let policy = grpc_resilience::RetryPolicy::new().max_attempts(2).unwrap();
    let mut stream = builder.policy(policy).build().unwrap();
    assert_eq!(all(&mut stream).await, [Err(Code::DeadlineExceeded)]);
    let took = started.elapsed();
    assert!(took >= ms(2_000) && took < ms(2_200), "{took:?}");

    // It does not bound a stream that has opened.
    let service = Service::new(|_| steps([Step::Token(1), Step::Wait(ms(60_000)), Step::Token(2)]));
    let net = Net::new(&service);
    let builder = numbers(net.channel()).open_timeout(ms(1_000));
    let mut stream = builder.build().unwrap();
    assert_eq!(all(&mut stream).await, [Ok(1), Ok(2)]);
}

// CONTRACT S6
#[transports::test(start_paused = true)]
async fn a_default_timeout_of_the_layers_does_not_bound_a_stream() {
    let service = Service::new(|_| steps([Step::Token(1), Step::Wait(ms(60_000)), Step::Token(2)]));
    let net = Net::new(&service);
    let resilience = Resilience::new().default_timeout(ms(5_000));
    let mut stream = numbers(resilience.wrap(net.channel())).build().unwrap();
    assert_eq!(all(&mut stream).await, [Ok(1), Ok(2)]);
    assert_eq!(service.seen.count(), 1);
}

fn timed(timeout: Duration, by_header: bool) -> Request<EchoRequest> {
    let mut request = Request::new(EchoRequest::default());
    if by_header {
        request.set_timeout(timeout);
    } else {
        request.call_options().timeout(timeout);
    }
    request
}

// CONTRACT S6
#[transports::test(start_paused = true)]
async fn the_request_s_own_timeout_bounds_the_whole_stream() {
    for by_header in [true, false] {
        let service = Service::new(|asked| {
            steps([
                Step::Token(asked.first()),
                Step::Wait(ms(1_500)),
                Step::Fail(Status::unavailable("restarting")),
            ])
        });
        let net = Net::new(&service);
        let request = timed(ms(4_000), by_header);
        let mut stream = asked(net.channel(), request).build().unwrap();
        let started = Instant::now();
        let seen = all(&mut stream).await;
        assert_eq!(seen, [Ok(1), Ok(2), Ok(3), Err(Code::DeadlineExceeded)]);
        let took = started.elapsed();
        assert!(took >= ms(3_000) && took <= ms(4_001), "{took:?}");
        let give_up = stream.report().give_up();
        assert_eq!(give_up, Some(GiveUp::Deadline));
    }
}

// CONTRACT S6
#[transports::test(start_paused = true)]
async fn a_wait_beyond_the_deadline_ends_the_stream_at_once_with_its_failure() {
    let service = Service::new(|_| Err(Status::unavailable("down")));
    let net = Net::new(&service);
    let mut stream = asked(net.channel(), timed(ms(3_000), true))
        .build()
        .unwrap();
    assert_eq!(all(&mut stream).await, [Err(Code::Unavailable)]);
    assert_eq!(stream.report().give_up(), Some(GiveUp::Deadline));
}

async fn stops(service: &Service, mut stream: Numbers) {
    assert!(timeout(ms(3_000), all(&mut stream)).await.is_err());
    let calls = service.seen.count();
    drop(stream);
    let stopped = async {
        while service.seen.open.load(SeqCst) > 0 {
            sleep(ms(1)).await;
        }
    };
    timeout(ms(50), stopped).await.expect("it stops in 50 ms");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(service.seen.count(), calls, "and stays away");
}

// CONTRACT S6
#[transports::test(start_paused = true)]
async fn dropping_it_stops_its_call_within_50_ms_wherever_it_is() {
    // Open.
    let service = silent();
    let net = Net::new(&service);
    stops(&service, numbers(net.channel()).build().unwrap()).await;
    // Opening.
    let service = silent();
    let net = Net::new(&service);
    stops(&service, unopened(&net).build().unwrap()).await;
    // Waiting.
    let service = Service::new(|_| Err(Status::unavailable("down")));
    let net = Net::new(&service);
    let stream = numbers(net.channel()).build().unwrap();
    let report = stream.report();
    stops(&service, stream).await;
    let code = report.code().unwrap();
    assert_eq!(code.name(), "CANCELLED");
}
