//! Calls that go to the leader, because a server that is not the leader has named it.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::Channel;
use grpc_resilience::classify::Endpoint;
use grpc_resilience::{
    BoxError, CallReport, Error, GiveUp, RetryLayer, RetryPolicy, ServerDeadlineLayer, raft,
};
use http::{Request, Response};
use test_protos::EchoServer;
use testing::EchoService;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::Server;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _};

use crate::common::names::Names;
use crate::common::net::{Host, Net};
use crate::common::*;

/// A server of a cluster: it refuses calls unless it is the leader.
#[derive(Clone)]
struct Node {
    name: &'static str,
    /// The leader that all of them know.
    leader: Arc<Mutex<Option<&'static str>>>,
    calls: Arc<AtomicUsize>,
    /// Where the node that gets the first call becomes the leader, as it refuses that call.
    is_elected_by_first_call: bool,
}

impl Node {
    fn refusal(&self) -> Option<Status> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut leader = self.leader.lock().unwrap();
        let refusal = match *leader {
            Some(leader) if leader == self.name => return None,
            Some(leader) => raft::not_leader(Some(&format!("unix:{leader}"))),
            None => raft::not_leader(None),
        };
        if self.is_elected_by_first_call {
            leader.get_or_insert(self.name);
        }
        Some(refusal)
    }
}

/// Nodes in memory and a channel to them.
struct Cluster {
    net: Net,
    nodes: Vec<Node>,
    leader: Arc<Mutex<Option<&'static str>>>,
    channel: Channel,
    _names: Names,
    hosts: Vec<Host>,
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

impl Cluster {
    async fn led_by(leader: Option<&'static str>) -> Self {
        let leader = Arc::new(Mutex::new(leader));
        let node = |name: &&'static str| Node {
            name,
            leader: Arc::clone(&leader),
            calls: Arc::default(),
            is_elected_by_first_call: leader.lock().unwrap().is_none(),
        };
        let nodes: Vec<Node> = NAMES.iter().map(node).collect();
        let net = Net::default();
        let hosts = nodes.iter().map(|node| serve(&net, node)).collect();
        let (names, builder) = Names::new(&net, &NAMES);
        let channel = builder.build().unwrap();
        until_ready(&channel, NAMES.len()).await;
        Self {
            net,
            nodes,
            leader,
            channel,
            _names: names,
            hosts,
        }
    }

    async fn call(&self, request: Request<Body>) -> Result<Response<()>, Error> {
        let policy = RetryPolicy::new().max_attempts(3).unwrap();
        let layered = RetryLayer::new(policy).layer(self.channel.clone());
        layered.oneshot(request).await.map(|it| it.map(drop))
    }

    fn calls(&self, name: &str) -> usize {
        let node = self.nodes.iter().find(|it| it.name == name).unwrap();
        node.calls.load(Ordering::Relaxed)
    }

    fn all_calls(&self) -> usize {
        NAMES.iter().map(|name| self.calls(name)).sum()
    }
}

fn serve(net: &Net, node: &Node) -> Host {
    let accepted = UnboundedReceiverStream::new(net.accept(node.name)).map(io::Result::Ok);
    let node = node.clone();
    let name = node.name;
    let refusing = ServiceBuilder::new()
        .layer(ServerDeadlineLayer::new())
        .map_result(|answer: Result<Response<Body>, BoxError>| {
            answer.or_else(|error| Ok::<_, BoxError>(error.downcast::<Status>()?.into_http()))
        })
        .filter_async(move |request: Request<Body>| {
            let refusal = node.refusal();
            async move { refusal.map_or(Ok(request), Err) }
        })
        .into_inner();
    let router = Server::builder()
        .layer(refusing)
        .add_service(EchoServer::new(EchoService));
    net.host(name, async move {
        let _ = router.serve_with_incoming(accepted).await;
    })
}

/// Where the attempts of a call failed.
fn failed_at(answer: &Response<()>) -> Vec<String> {
    let report = answer.extensions().get::<CallReport>();
    report.map_or_else(Vec::new, endpoints)
}

fn endpoints(report: &CallReport) -> Vec<String> {
    let failed = report.failed_attempts().into_iter();
    let endpoints = failed.filter_map(|it| it.endpoint);
    endpoints.map(|it| it.name().to_owned()).collect()
}

fn answered_by(answer: &Response<()>) -> &str {
    answer.extensions().get::<Endpoint>().unwrap().name()
}

// CONTRACT E6, I7
#[tokio::test(start_paused = true)]
async fn an_undeclared_call_goes_to_the_leader_that_the_first_server_names() {
    let cluster = Cluster::led_by(Some("d")).await;
    for _ in 0..40 {
        let answer = cluster.call(request()).await.unwrap();
        assert_eq!(answered_by(&answer), "unix:d");
        assert!(failed_at(&answer).len() <= 1, "{:?}", failed_at(&answer));
    }
    assert_eq!(cluster.calls("d"), 40);
    assert!(
        cluster.all_calls() > 45,
        "some calls were sent elsewhere first"
    );
    *cluster.leader.lock().unwrap() = Some("a");
    for _ in 0..40 {
        let answer = cluster.call(request()).await.unwrap();
        assert_eq!(answered_by(&answer), "unix:a");
        assert!(
            failed_at(&answer).len() <= 1,
            "the hint is of this call alone"
        );
    }
}

// CONTRACT E6, L2: the word of a server is newer than the failure
#[tokio::test(start_paused = true)]
async fn a_call_returns_to_a_node_that_was_elected_after_it_had_refused_the_call() {
    let cluster = Cluster::led_by(None).await;
    for _ in 0..20 {
        *cluster.leader.lock().unwrap() = None;
        let answer = cluster.call(request()).await.unwrap();
        let failed_at = failed_at(&answer);
        assert_eq!(failed_at.len(), 2, "{failed_at:?}");
        assert_ne!(
            failed_at[0], failed_at[1],
            "nothing was known of a leader yet"
        );
        assert_eq!(answered_by(&answer), failed_at[0]);
    }
}

// CONTRACT E6, L2
#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_be_used_leaves_the_choice_to_the_picker() {
    for (leader, is_stopped) in [("elsewhere", false), ("d", true)] {
        let mut cluster = Cluster::led_by(Some(leader)).await;
        if is_stopped {
            cluster.net.refuse("d");
            drop(cluster.hosts.remove(3));
            until(|| ready(&cluster.channel).len() == 4).await;
        }
        for _ in 0..20 {
            let error = cluster.call(request()).await.unwrap_err();
            assert_eq!(error.give_up(), Some(GiveUp::AttemptsExhausted));
            let names = BTreeSet::from_iter(endpoints(error.report().unwrap()));
            assert_eq!(names.len(), 3, "each attempt was sent to another node");
        }
    }
}

// CONTRACT E6: what the caller says counts more
#[tokio::test(start_paused = true)]
async fn a_leader_that_the_caller_avoids_gets_no_call_and_a_named_endpoint_keeps_its_calls() {
    let cluster = Cluster::led_by(Some("d")).await;
    for _ in 0..20 {
        let mut elsewhere = request();
        elsewhere.call_options().avoid("unix:d");
        let error = cluster.call(elsewhere).await.unwrap_err();
        assert_eq!(error.give_up(), Some(GiveUp::AttemptsExhausted));
    }
    assert_eq!((cluster.calls("d"), cluster.all_calls()), (0, 60));
    let mut pinned = request();
    pinned.call_options().endpoint("unix:a");
    let before = cluster.calls("a");
    cluster.call(pinned).await.unwrap_err();
    assert_eq!((cluster.calls("d"), cluster.calls("a")), (0, before + 3));
}
