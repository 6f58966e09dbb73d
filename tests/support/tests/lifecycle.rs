//! Starting, stopping, and connections that go away.

mod support;

use std::{error::Error, io};

use support::{both, client, hello};
use testing::{Answer, Server, ended, method};
use tokio::{runtime::Handle, task::yield_now};
use tonic::{Code, ConnectError};

/// What a call through a channel failed of, by the chain of its sources.
fn chain_has<E: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<E>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[tokio::test]
async fn a_stopped_server_refuses_connections_until_it_is_started_again() {
    both(async |server: Server| {
        let uri = server.uri();
        let mut client = client(&server);
        client.unary(hello()).await.unwrap();
        server.stop();
        for _ in 0..3 {
            client.unary(hello()).await.unwrap_err();
        }
        let status = client.unary(hello()).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(chain_has::<ConnectError>(&status), "{status:?}");
        assert_eq!(server.count(), 1);

        server.start().await;
        assert_eq!(server.uri(), uri);
        client.unary(hello()).await.unwrap();
        assert_eq!((server.count(), server.connections()), (2, 2));
    })
    .await;
}

#[tokio::test]
async fn an_unstarted_server_refuses_connections() {
    for server in [Server::tcp_unstarted(), Server::in_memory_unstarted()] {
        let mut client = client(&server);
        for _ in 0..3 {
            let status = client.unary(hello()).await.unwrap_err();
            assert!(chain_has::<ConnectError>(&status) && chain_has::<io::Error>(&status));
        }
        assert_eq!((server.count(), server.connections()), (0, 0));
        server.start().await;
        client.unary(hello()).await.unwrap();
        assert_eq!((server.count(), server.connections()), (1, 1));
    }
}

#[tokio::test]
async fn a_stop_keeps_the_port() {
    let server = Server::tcp().await;
    let addr = server.addr().unwrap();
    for _ in 0..20 {
        server.stop();
        // As the system chooses a free port: without SO_REUSEADDR.
        let stranger = tokio::net::TcpSocket::new_v4().unwrap();
        assert!(stranger.bind(addr).is_err());
        let refused = tokio::net::TcpStream::connect(addr).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        server.start().await;
        client(&server).unary(hello()).await.unwrap();
    }
    assert_eq!(server.connections(), 20);
}

#[tokio::test]
async fn starting_twice_changes_nothing() {
    both(async |server: Server| {
        let mut client = client(&server);
        client.unary(hello()).await.unwrap();
        server.start().await;
        client.unary(hello()).await.unwrap();
        assert_eq!(server.connections(), 1);
    })
    .await;
}

#[tokio::test]
async fn refused_dials_are_counted_in_memory() {
    let server = Server::in_memory_unstarted();
    let mut client = client(&server);
    for _ in 0..3 {
        client.unary(hello()).await.unwrap_err();
    }
    let refused = server.dials();
    assert!(refused >= 3);
    server.start().await;
    client.unary(hello()).await.unwrap();
    assert_eq!((server.dials(), server.connections()), (refused + 1, 1));
}

#[tokio::test]
async fn a_dropped_connection_takes_its_calls_along_and_no_others() {
    both(async |server: Server| {
        let (mut doomed, mut other) = (client(&server), client(&server));
        let mut sibling = doomed.clone();
        doomed.unary(hello()).await.unwrap();
        other.unary(hello()).await.unwrap();
        server.clear();

        server
            .script()
            .always(method::UNARY_IDEMPOTENT, Answer::hang());
        let sibling = tokio::spawn(async move { sibling.unary_idempotent(hello()).await });
        server.wait_for_calls(1).await;
        let spared = {
            let mut other = other.clone();
            tokio::spawn(async move { other.unary_idempotent(hello()).await })
        };
        server.wait_for_calls(2).await;

        server.script().next(Answer::drop_connection());
        doomed.unary(hello()).await.unwrap_err();
        sibling.await.unwrap().unwrap_err();
        let calls = server.wait_until(|calls| calls[0].cancelled()).await;
        assert!(!calls[1].cancelled(), "on the other connection");
        assert!(calls[2].finished(), "the script ended it");
        assert_eq!(
            (
                calls[0].connection,
                calls[1].connection,
                calls[2].connection
            ),
            (1, 2, 1)
        );

        other.unary(hello()).await.unwrap();
        client(&server).unary(hello()).await.unwrap();
        let calls = server.calls();
        assert_eq!((calls[3].connection, calls[4].connection), (2, 3));
        assert_eq!(server.connections(), 3);
        spared.abort();
    })
    .await;
}

#[tokio::test]
async fn a_stop_cancels_the_calls_that_run() {
    both(async |server: Server| {
        server.script().next(Answer::hang());
        let mut client = client(&server);
        let call = tokio::spawn(async move { client.unary(hello()).await });
        server.wait_for_calls(1).await;
        server.stop();
        call.await.unwrap().unwrap_err();
        assert!(server.wait_until(ended).await[0].cancelled());
    })
    .await;
}

#[tokio::test]
async fn a_dropped_server_leaves_no_task_behind() {
    both(async |server: Server| {
        let tasks_of_others = Handle::current().metrics().num_alive_tasks();
        let channel = server.channel();
        let mut client = test_protos::EchoClient::new(channel);
        client.unary(hello()).await.unwrap();
        server.script().next(Answer::hang());
        let call = tokio::spawn(async move { client.unary(hello()).await });
        server.wait_for_calls(2).await;
        drop(server);
        call.await.unwrap().unwrap_err();
        // Without the accept loop, which was there before.
        while Handle::current().metrics().num_alive_tasks() >= tasks_of_others {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stops_and_starts_lose_no_wakeup_on_many_threads() {
    both(async |server: Server| {
        for round in 1..=30 {
            client(&server).unary(hello()).await.unwrap();
            assert_eq!(server.connections(), round);
            server.stop();
            server.start().await;
        }
    })
    .await;
}
