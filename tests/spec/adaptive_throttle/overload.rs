//! How many calls reach a server that refuses some or all of them.

use testing::{Answer, Server, method};
use tokio::time::sleep;
use tonic::Code;

use super::{counts, overloaded, throttling, was_shed};
use crate::support::{hello, ms};

// SRE book, Handling Overload: p = requests / (requests + 1), so that n calls make about ln n + 0.6 of them
#[transports::test(start_paused = true)]
async fn a_server_that_refuses_everything_gets_a_handful_of_a_thousand_calls() {
    let server = Server::in_memory();
    server.script().otherwise(overloaded());
    let (mut client, throttle) = throttling(&server);
    let mut shed = 0;
    for _ in 0..1_000 {
        let status = client.unary(hello()).await.unwrap_err();
        if was_shed(&status) {
            shed += 1;
        } else {
            assert_eq!(status.message(), "overloaded");
        }
        sleep(ms(100)).await;
    }
    assert_eq!(counts(&throttle), (1_000, 0, shed));
    let sent = server.count();
    assert_eq!(u64::try_from(sent).unwrap(), 1_000 - shed);
    assert!((2..=20).contains(&sent), "{sent}");
    let expected = 1_000.0 / 1_001.0;
    assert!((throttle.snapshot().probability - expected).abs() < 1e-9);
}

// SRE book: the server gets K times what it accepts
#[transports::test(start_paused = true)]
async fn an_overloaded_server_gets_twice_as_many_calls_as_it_accepts() {
    let server = Server::in_memory();
    server.script().otherwise(overloaded());
    let (mut client, throttle) = throttling(&server);
    let mut sent_late = 0;
    for second in 0..300 {
        // It has two answers a second for twenty calls, and does not keep them.
        let left = server.script().remaining();
        let fresh = (left..2).map(|_| Answer::handler());
        server.script().on(method::UNARY, fresh);
        let before = server.count();
        for _ in 0..20 {
            let _ = client.unary(hello()).await;
            sleep(ms(50)).await;
        }
        if second >= 180 {
            sent_late += server.count() - before;
        }
    }
    // Four a second for two minutes.
    assert!((430..=530).contains(&sent_late), "{sent_late}");
    let seen = throttle.snapshot();
    assert!((2_360..=2_400).contains(&seen.requests), "{seen:?}");
    assert!((220..=240).contains(&seen.accepts), "{seen:?}");
}

#[transports::test(start_paused = true)]
async fn of_a_healthy_server_s_calls_none_is_held_back_nor_while_up_to_half_are_refused() {
    let server = Server::in_memory();
    let (mut client, throttle) = throttling(&server);
    for _ in 0..500 {
        client.unary(hello()).await.unwrap();
    }
    assert_eq!(counts(&throttle), (500, 500, 0));
    for _ in 0..500 {
        server.script().on(method::UNARY, [overloaded()]);
        client.unary(hello()).await.unwrap_err();
    }
    assert_eq!(counts(&throttle), (1_000, 500, 0));
    assert_eq!(server.count(), 1_000);
    assert!(throttle.snapshot().probability.abs() < f64::EPSILON);
}

#[transports::test(start_paused = true)]
async fn a_server_that_fails_calls_without_being_overloaded_gets_all_of_them() {
    let server = Server::in_memory();
    let (mut client, throttle) = throttling(&server);
    for code in [Code::Internal, Code::NotFound, Code::DeadlineExceeded] {
        server.script().otherwise(Answer::status(code, "no"));
        for _ in 0..100 {
            client.unary(hello()).await.unwrap_err();
        }
    }
    assert_eq!(counts(&throttle), (300, 300, 0));
}

#[transports::test(start_paused = true)]
async fn a_burst_from_cold_that_has_no_answer_yet_is_sent_whole_and_counted_exactly() {
    let server = Server::in_memory();
    server.script().otherwise(Answer::handler().after(ms(500)));
    let (client, throttle) = throttling(&server);
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.unary(hello()).await })
        })
        .collect();
    sleep(ms(400)).await;
    assert_eq!(counts(&throttle), (0, 0, 0), "under way");
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(counts(&throttle), (1_000, 1_000, 0));
}

#[transports::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_concurrent_calls_from_several_threads_are_counted_exactly() {
    let server = Server::in_memory();
    let refused = (0..400).map(|_| overloaded());
    server.script().on(method::UNARY, refused);
    let (client, throttle) = throttling(&server);
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.unary(hello()).await })
        })
        .collect();
    let (mut accepts, mut shed) = (0, 0);
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => accepts += 1,
            Err(status) if was_shed(&status) => shed += 1,
            Err(status) => assert_eq!(status.message(), "overloaded"),
        }
    }
    assert_eq!(counts(&throttle), (1_000, accepts, shed));
    assert_eq!(u64::try_from(server.count()).unwrap(), 1_000 - shed);
}
