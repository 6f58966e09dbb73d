//! What a connection is before it is ready, and the errors of dials.

use std::time::Duration;

use grpc_resilience::__internal::failure;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::{Channel, Connectivity, DialError, Phase};
use grpc_resilience::classify::{ConnectFault, Endpoint, Progress, Reason, TransportError};
use peer::{Connection, DeadPort, HangingPort, Peer, Step};

use crate::common::net::Net;
use crate::common::*;

/// The error of the first dial to a peer that meets this script.
async fn dial_error(script: Connection) -> TransportError {
    let peer = Peer::always(script).await;
    dial_error_at(peer.uri()).await
}

async fn dial_error_at(uri: String) -> TransportError {
    // Long enough for what a slow machine has to do before the phase that fails.
    let builder = Channel::builder(uri).connect_timeout(1_500 * MS);
    let channel = builder.build().unwrap();
    // A call waits for the first dial, and fails with its error.
    call(&channel).await.unwrap_err()
}

fn dial(error: &TransportError) -> &DialError {
    let mut link: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = link {
        // The status shares it.
        if let Some(dial) = error.downcast_ref::<DialError>() {
            return dial;
        }
        link = error.source();
    }
    panic!("{error:?} has no dial error")
}

// CONTRACT C1, C2
#[tokio::test]
async fn a_silent_peer_is_not_ready_and_the_error_names_the_phase() {
    let error = dial_error(Connection::silent()).await;
    assert_eq!(error.progress(), Progress::NotSent);
    assert_eq!(error.verdict().reason, Reason::ConnectFailed);
    assert_eq!(dial(&error).phase(), Phase::Settings);
    assert!(dial(&error).is_timeout());
}

// CONTRACT C1, C2
#[tokio::test]
async fn a_peer_that_answers_no_ping_is_not_ready() {
    let error = dial_error(Connection::new().without_pong()).await;
    assert_eq!(dial(&error).phase(), Phase::Ping);
    let text = error.message();
    assert!(text.contains("the answer to the first PING"), "{text}");
    assert!(text.contains("1.5s"), "{text}");
}

// CONTRACT C7
#[tokio::test]
async fn a_peer_that_allows_no_stream_is_not_ready() {
    let error = dial_error(Connection::new().max_concurrent_streams(0)).await;
    assert_eq!(dial(&error).phase(), Phase::Streams);
}

// CONTRACT C1
#[tokio::test]
async fn a_peer_that_opens_its_first_stream_later_is_ready_then() {
    let script = Connection::new()
        .max_concurrent_streams(0)
        .then(Step::Settle)
        .then(Step::MaxConcurrentStreams(1));
    let peer = Peer::start([script]).await;
    let channel = channel(&peer).await;
    succeeds(&channel).await;
}

// CONTRACT C18
#[tokio::test]
async fn peers_that_speak_something_else_are_named_faults() {
    for script in [Connection::http1(), Connection::garbage(vec![0xff; 100])] {
        let error = dial_error(script).await;
        assert_eq!(dial(&error).phase(), Phase::Settings);
        assert_eq!(ConnectFault::find(&error), Some(ConnectFault::NotHttp2));
        let ours = grpc_resilience::Error::from_inner(error);
        assert_eq!(ours.connect_fault(), Some(ConnectFault::NotHttp2));
    }
}

// CONTRACT C2
#[tokio::test]
async fn a_refused_dial_fails_with_the_system_s_error() {
    let port = DeadPort::new();
    let error = dial_error_at(port.uri()).await;
    assert_eq!(dial(&error).phase(), Phase::Connect);
    let endpoint = port.uri().replace("http://", "");
    assert_eq!(dial(&error).endpoint(), endpoint);
    let text = error.message();
    assert!(
        text.contains("refused") && text.contains(&endpoint),
        "{text}"
    );
    assert_eq!(failure(&error), error.verdict());
}

// CONTRACT C2
#[tokio::test]
async fn a_dial_without_an_answer_ends_with_the_connect_timeout() {
    let port = HangingPort::new().await;
    let error = dial_error_at(port.uri()).await;
    assert_eq!(dial(&error).phase(), Phase::Connect);
    assert!(dial(&error).is_timeout());
}

// CONTRACT C2
#[tokio::test]
async fn a_peer_that_closes_fails_the_dial_and_not_the_call() {
    let peer = Peer::start([Connection::closed()]).await;
    let channel = builder(&peer).build().unwrap();
    let mut patient = request();
    patient.call_options().wait_for_ready();
    assert_eq!(status(send(&channel, patient).await).await, 0);
    assert_eq!(peer.connections(), 2);
}

// CONTRACT C17
#[tokio::test]
async fn a_response_names_its_endpoint() {
    let peer = Peer::start([]).await;
    let channel = channel(&peer).await;
    let answer = call(&channel).await.unwrap();
    let endpoint = answer.extensions().get::<Endpoint>().unwrap();
    assert_eq!(format!("http://{endpoint}"), peer.uri());
}

// CONTRACT C1
#[tokio::test]
async fn unix_sockets_work_by_path_and_by_abstract_name() {
    use tokio_stream::wrappers::UnixListenerStream;
    let folder = std::env::temp_dir().join(format!("grpc-resilience-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("echo.sock");
    let _ = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serve = |listener| {
        let router = tonic::transport::Server::builder()
            .add_service(test_protos::EchoServer::new(testing::EchoService));
        tokio::spawn(router.serve_with_incoming(UnixListenerStream::new(listener)))
    };
    let by_path = serve(listener);
    let channel = connected(Channel::builder(format!("unix:{}", path.display()))).await;
    succeeds(&channel).await;
    std::fs::remove_dir_all(&folder).unwrap();
    by_path.abort();

    #[cfg(target_os = "linux")]
    {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("grpc-resilience-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let by_name = serve(tokio::net::UnixListener::from_std(listener).unwrap());
        let channel = connected(Channel::builder(format!("unix-abstract:{name}"))).await;
        succeeds(&channel).await;
        by_name.abort();
    }
}

// CONTRACT C3, C4
#[tokio::test(start_paused = true)]
async fn a_server_that_is_back_is_found_within_a_second() {
    let net = Net::default();
    let channel = net.builder().build().unwrap();
    for outage in [300, 3_000] {
        tokio::time::sleep(outage * MS).await;
        let error = call(&channel).await.unwrap_err();
        assert_eq!(error.verdict().reason, Reason::ConnectFailed);
        assert_eq!(channel.state(), Connectivity::TransientFailure);
        let host = net.serve("host");
        channel.connected(Duration::from_secs(1)).await.unwrap();
        succeeds(&channel).await;
        net.refuse("host");
        drop(host);
        until(|| channel.state() != Connectivity::Ready).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_without_a_server_fails_with_the_last_dial_error() {
    let net = Net::default();
    let channel = net.builder().build().unwrap();
    let error = channel.connected(Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(dial(&error).phase(), Phase::Connect);
    assert!(error.message().contains("connection refused"), "{error:?}");
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn a_reset_of_the_backoff_dials_at_once() {
    let net = Net::default();
    let channel = net.builder().build().unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = net.dials() + 1;
    until(|| net.dials() == before).await;
    tokio::time::sleep(200 * MS).await;
    let _host = net.serve("host");
    channel.reset_backoff();
    tokio::time::sleep(MS).await;
    assert_eq!(net.dials(), before + 1);
    succeeds(&channel).await;
}

// CONTRACT W9, W1
#[tokio::test(start_paused = true)]
async fn calls_that_do_not_wait_wait_for_a_connection_that_is_being_made() {
    let net = Net::default();
    let _host = net.serve("host");
    let channel = net.builder().build().unwrap();
    assert_ne!(channel.state(), Connectivity::Ready);
    succeeds(&channel).await;
}

#[tokio::test]
async fn faults_of_the_configuration_come_all_at_once() {
    let faults = Channel::builder("orders")
        .connect_timeout(Duration::ZERO)
        .max_connections(0)
        .http2_keep_alive_interval(Duration::from_secs(9))
        .user_agent("a\nb")
        .origin("/path".parse().unwrap())
        .initial_stream_window_size(0)
        .max_frame_size(1)
        .build()
        .unwrap_err();
    let setters: Vec<_> = faults
        .faults()
        .iter()
        .map(grpc_resilience::error::Fault::setter)
        .collect();
    assert_eq!(
        setters,
        [
            "builder",
            "origin",
            "user_agent",
            "connect_timeout",
            "max_connections",
            "initial_stream_window_size",
            "max_frame_size",
            "http2_keep_alive_interval",
        ]
    );
}

#[test]
fn a_build_outside_of_a_runtime_is_a_fault() {
    let faults = Channel::builder("ipv4:127.0.0.1:1").build().unwrap_err();
    assert_eq!(faults.faults()[0].setter(), "build");
}

/// Panics at its first dial.
#[derive(Clone)]
struct Panics(Net, std::sync::Arc<std::sync::atomic::AtomicBool>);

impl tower::Service<grpc_resilience::channel::Address> for Panics {
    type Response = crate::common::net::End;
    type Error = std::io::Error;
    type Future = std::future::Ready<std::io::Result<Self::Response>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: grpc_resilience::channel::Address) -> Self::Future {
        let is_first = !self.1.swap(true, std::sync::atomic::Ordering::AcqRel);
        assert!(!is_first, "as a connector may");
        self.0.call(address)
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_fails_the_dial_and_no_more() {
    let net = Net::default();
    let _host = net.serve("host");
    let connector = Panics(net.clone(), std::sync::Arc::default());
    let channel = Channel::builder("unix:host")
        .connector(connector)
        .build()
        .unwrap();
    let error = call(&channel).await.unwrap_err();
    assert!(
        error.message().contains("the connector panicked"),
        "{error:?}"
    );
    channel.connected(Duration::from_secs(1)).await.unwrap();
    succeeds(&channel).await;
}

// CONTRACT D13
#[test]
fn a_call_that_is_polled_without_a_runtime_is_answered_or_ends_in_time() {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    fn wait<T>(future: impl Future<Output = T>) -> T {
        let waker = std::task::Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
        let mut future = std::pin::pin!(future);
        loop {
            let mut cx = std::task::Context::from_waker(&waker);
            match future.as_mut().poll(&mut cx) {
                std::task::Poll::Ready(output) => return output,
                std::task::Poll::Pending => std::thread::park(),
            }
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (channel, peer) = runtime.block_on(async {
        let script = Connection::new().streams([peer::Stream::ok(b""), peer::Stream::stall()]);
        let peer = Peer::start([script]).await;
        (channel(&peer).await, peer)
    });
    wait(succeeds(&channel));
    let mut timed = request();
    timed.call_options().timeout(50 * MS);
    let error = wait(send(&channel, timed)).unwrap_err();
    assert_eq!(
        error.verdict().code,
        grpc_resilience::grpc::Code::DeadlineExceeded
    );
    drop(peer);
}

// CONTRACT C2, C3, GO-backoff-preface
#[tokio::test(start_paused = true)]
async fn a_peer_without_a_preface_is_closed_and_dialled_again_by_the_backoff() {
    let net = Net::default();
    let mut accepted = net.accept("host");
    let timeout = Duration::from_secs(1);
    let channel = net.builder().connect_timeout(timeout).build().unwrap();
    let start = tokio::time::Instant::now();
    let first = accepted.recv().await.unwrap();
    let second = accepted.recv().await.unwrap();
    // The backoff of 100 ms passed during the dial, from whose start it counts.
    assert_eq!(start.elapsed().as_millis() / 10, 100);
    assert_eq!(net.open(), 1, "the first one is closed");
    let state = channel.state();
    assert_eq!(
        state,
        grpc_resilience::channel::Connectivity::TransientFailure
    );
    let error = call(&channel).await.unwrap_err();
    assert!(error.message().contains("SETTINGS"), "{error:?}");
    drop((first, second));
}

// CONTRACT C3, JAVA-backoff-pass
#[tokio::test(start_paused = true)]
async fn a_failed_address_delays_no_other_and_each_backs_off_by_itself() {
    let net = Net::default();
    let _host = net.serve("127.0.0.1:2");
    let target = "ipv4:127.0.0.1:1,127.0.0.1:2";
    let start = tokio::time::Instant::now();
    let channel = connected(Channel::builder(target).connector(net.clone())).await;
    assert!(
        start.elapsed().is_zero(),
        "the second one is dialled at once"
    );
    succeeds(&channel).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before = net.dials();
    assert!(before > 5, "the first one is tried again and again");
    let _late = net.serve("127.0.0.1:1");
    until(|| connections(&channel) == 2).await;
    assert_eq!(net.dials(), before + 1);
}
