//! TLS settings that change while calls go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::{Builder, Channel, Connectivity, Identity, TlsConfig};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::common::log::Ear;
use crate::common::net::Net;
use crate::common::tls::{Authority, Served, Signed, config_of, serve, serve_tcp};
use crate::common::*;

const SERVER: &str = "10.0.0.1:443";

/// A server in memory that asks for client certificates, and what signs them.
struct Setup {
    net: Net,
    authority: Authority,
    server: Served,
    settings: watch::Sender<TlsConfig>,
    first: Signed,
}

impl Setup {
    fn new() -> Self {
        let (net, authority) = (Net::default(), Authority::new());
        let config = config_of(&authority.sign("10.0.0.1"), Some(&authority));
        let incoming = UnboundedReceiverStream::new(net.accept(SERVER));
        let server = serve(config, incoming);
        let first = authority.sign("client.test");
        let settings = watch::Sender::new(authority.trusted().identity(first.identity()));
        Self {
            net,
            authority,
            server,
            settings,
            first,
        }
    }

    fn builder(&self) -> Builder {
        Channel::builder("https://10.0.0.1")
            .connector(self.net.clone())
            .tls_config_from(self.settings.subscribe())
    }

    /// Settings with a new certificate.
    fn renewed(&self) -> (Signed, TlsConfig) {
        let signed = self.authority.sign("client.test");
        let config = self.authority.trusted().identity(signed.identity());
        (signed, config)
    }

    async fn until_shown(&self, certificate: &Signed) {
        until(|| shows(&self.server, certificate)).await;
    }
}

fn shows(server: &Served, certificate: &Signed) -> bool {
    let newest = server.newest().and_then(|it| it.certificate);
    newest == Some(certificate.der())
}

// CONTRACT C2, C21
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_certificates_are_replaced_under_load() {
    let authority = Authority::new();
    let own = authority.sign("127.0.0.1");
    let (server, uri) = serve_tcp(config_of(&own, Some(&authority))).await;
    let settings = |signed: &Signed| authority.trusted().identity(signed.identity());
    let first = authority.sign("client.test");
    let newest = watch::Sender::new(settings(&first));
    let builder = Channel::builder(uri).tls_config_from(newest.subscribe());
    let channel = connected(builder).await;

    let (is_over, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let callers: Vec<_> = (0..16)
        .map(|_| {
            let (channel, is_over, calls) = (channel.clone(), is_over.clone(), calls.clone());
            tokio::spawn(async move {
                while !is_over.load(Ordering::Acquire) {
                    succeeds(&channel).await;
                    calls.fetch_add(1, Ordering::AcqRel);
                }
            })
        })
        .collect();
    for _ in 0..20 {
        let signed = authority.sign("client.test");
        let before = calls.load(Ordering::Acquire);
        newest.send_replace(settings(&signed));
        until(|| shows(&server, &signed)).await;
        // The earlier connections end, and calls go on.
        until(|| server.open() == 1).await;
        until(|| calls.load(Ordering::Acquire) > before + 32).await;
    }
    is_over.store(true, Ordering::Release);
    for caller in callers {
        caller.await.expect("no call fails");
    }
    assert!(server.shown().len() >= 21);
}

// CONTRACT C21
#[tokio::test(start_paused = true)]
async fn a_call_under_way_stays_on_the_connection_that_is_replaced() {
    let setup = Setup::new();
    let channel = connected(setup.builder()).await;
    let (sender, body) = streaming();
    let answer = send(&channel, bidi(body)).await.unwrap();
    let mut answers = answer.into_body();

    let (signed, config) = setup.renewed();
    setup.settings.send_replace(config);
    setup.until_shown(&signed).await;
    // Its connection takes no other call.
    until(|| in_flight(&channel) == 0).await;
    assert_eq!(connections(&channel), 1);
    succeeds(&channel).await;
    assert_eq!(setup.server.open(), 2);

    sender.send(message(b"")).unwrap();
    let frame = answers.frame().await.unwrap().unwrap();
    assert!(frame.is_data());
    drop(sender);
    let rest = answers.collect().await.unwrap();
    let status = rest.trailers().unwrap().get("grpc-status").unwrap();
    assert_eq!(status, "0");
    until(|| setup.server.open() == 1).await;
}

// CONTRACT C8: one that replaces another is not one connection too many
#[tokio::test(start_paused = true)]
async fn the_connection_that_replaces_others_stays() {
    let setup = Setup::new();
    let channel = connected(setup.builder()).await;
    for round in 2..5 {
        let (signed, config) = setup.renewed();
        setup.settings.send_replace(config);
        setup.until_shown(&signed).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(setup.net.dials(), round);
        assert_eq!((connections(&channel), setup.net.open()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn all_connections_of_an_endpoint_are_replaced() {
    let setup = Setup::new();
    let channel = connected(setup.builder()).await;
    let streams: Vec<_> = (0..40).map(|_| streaming()).collect();
    let mut calls = Vec::new();
    let mut senders = Vec::new();
    for (sender, body) in streams {
        senders.push(sender);
        calls.push(send(&channel, bidi(body)).await.unwrap());
    }
    until(|| connections(&channel) == 2).await;
    let (signed, config) = setup.renewed();
    setup.settings.send_replace(config);
    setup.until_shown(&signed).await;
    until(|| in_flight(&channel) == 0).await;
    assert_eq!(connections(&channel), 1);
    drop((calls, senders));
    until(|| setup.net.open() == 1).await;
    succeeds(&channel).await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_be_change_nothing_and_are_one_warning_per_cause() {
    let ear = Ear::new();
    let setup = Setup::new();
    let channel = connected(setup.builder()).await;
    let kept = setup.authority.trusted().identity(setup.first.identity());
    let no_key = kept
        .clone()
        .identity(Identity::from_pem(&setup.first.cert, "nothing"));
    for (config, warnings) in [
        (no_key.clone(), 1),
        (no_key.clone(), 1),
        (TlsConfig::new(), 2),
        (no_key.clone(), 3),
    ] {
        setup.settings.send_replace(config);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let count = ear.count("the new TLS settings of a channel are of no use");
        assert_eq!(count, warnings, "{}", ear.text());
        succeeds(&channel).await;
    }
    assert!(ear.text().contains("WARN"), "{}", ear.text());
    assert!(ear.text().contains("the private key"), "{}", ear.text());
    assert_eq!(setup.net.dials(), 1);
    // A dial has the settings before them.
    let (signed, config) = setup.renewed();
    setup.settings.send_replace(config);
    setup.until_shown(&signed).await;
    succeeds(&channel).await;
    // It counts anew.
    setup.settings.send_replace(no_key);
    let text = "the new TLS settings of a channel are of no use";
    until(|| ear.count(text) == 4).await;
}

// CONTRACT C3
#[tokio::test(start_paused = true)]
async fn connections_stay_while_none_can_be_made_with_new_settings() {
    let ear = Ear::new();
    let setup = Setup::new();
    let channel = connected(setup.builder()).await;
    // The server does not take this one.
    let foreign = Authority::new().sign("client.test");
    let config = setup.authority.trusted().identity(foreign.identity());
    setup.settings.send_replace(config);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let dials = setup.net.dials();
    assert!((4..40).contains(&dials), "with backoff: {dials}");
    assert_eq!(channel.state(), Connectivity::Ready);
    succeeds(&channel).await;
    let text = "can be made with the new TLS settings";
    assert_eq!(ear.count(text), 1, "{}", ear.text());
    assert!(ear.text().contains("WARN"), "{}", ear.text());
    let snapshot = channel.snapshot().to_string();
    assert!(snapshot.contains("received fatal alert"), "{snapshot}");

    let (signed, config) = setup.renewed();
    let begin = tokio::time::Instant::now();
    setup.settings.send_replace(config);
    setup.until_shown(&signed).await;
    assert!(begin.elapsed() < Duration::from_secs(1), "no backoff");
    until(|| setup.net.open() == 1).await;
    assert_eq!(channel.snapshot().endpoints[0].error, None);
    succeeds(&channel).await;
}

// CONTRACT C21
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_before_its_replacement_is_there_is_replaced_once() {
    let setup = Setup::new();
    let line = setup.net.host(SERVER, std::future::pending());
    let channel = connected(setup.builder()).await;
    succeeds(&channel).await;
    let (signed, config) = setup.renewed();
    setup.settings.send_replace(config);
    // Its dial is planned, since the first one began less than 100 ms ago.
    until(|| channel.snapshot().endpoints[0].next_dial.is_some()).await;
    let own = config_of(&setup.authority.sign("10.0.0.1"), Some(&setup.authority));
    let second = serve(own, UnboundedReceiverStream::new(setup.net.accept(SERVER)));
    drop(line);
    until(|| shows(&second, &signed)).await;
    succeeds(&channel).await;
    assert_eq!(channel.state(), Connectivity::Ready);
    assert_eq!((connections(&channel), second.shown().len()), (1, 1));
}

// CONTRACT R19
#[tokio::test(start_paused = true)]
async fn a_call_that_waits_goes_once_the_settings_are_right() {
    let setup = Setup::new();
    let right = setup.settings.borrow().clone();
    setup.settings.send_replace(Authority::new().trusted());
    let channel = setup.builder().build().unwrap();
    let mut patient = request();
    patient.call_options().wait_for_ready();
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { send(&channel, patient).await }
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!call.is_finished());
    let begin = tokio::time::Instant::now();
    setup.settings.send_replace(right);
    assert_eq!(status(call.await.unwrap()).await, 0);
    let taken = begin.elapsed();
    assert!(taken < 200 * MS, "the backoff is not awaited: {taken:?}");
}

// A dial that began with earlier settings
#[tokio::test(start_paused = true)]
async fn a_connection_whose_dial_began_before_the_change_is_replaced_too() {
    let setup = Setup::new();
    let mut accepted = setup.net.accept(SERVER);
    let channel = setup.builder().build().unwrap();
    let first = accepted.recv().await.unwrap();
    // While the server is silent in the handshake.
    let (signed, config) = setup.renewed();
    setup.settings.send_replace(config);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (sender, incoming) = tokio::sync::mpsc::unbounded_channel();
    let config = config_of(&setup.authority.sign("10.0.0.1"), Some(&setup.authority));
    let server = serve(config, UnboundedReceiverStream::new(incoming));
    sender.send(first).unwrap();
    let second = tokio::time::timeout(LONG, accepted.recv()).await;
    let second = second.expect("there is another dial").unwrap();
    sender.send(second).unwrap();
    until(|| shows(&server, &signed)).await;
    until(|| server.open() == 1).await;
    assert_eq!((connections(&channel), setup.net.dials()), (1, 2));
    succeeds(&channel).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_channel_makes_no_connection_for_new_settings() {
    let setup = Setup::new();
    let builder = setup.builder().max_idle(Duration::from_secs(5));
    let channel = connected(builder).await;
    until(|| channel.state() == Connectivity::Idle).await;
    let (signed, config) = setup.renewed();
    setup.settings.send_replace(config);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(setup.net.dials(), 1);
    succeeds(&channel).await;
    assert!(shows(&setup.server, &signed));
}

// Nothing outlives a channel
#[tokio::test(start_paused = true)]
async fn what_follows_the_settings_ends_with_the_channel() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let setup = Setup::new();
    let other = Setup::new();
    others_have_run().await;
    let before = tasks();

    let dropped = connected(setup.builder()).await;
    assert_eq!(setup.settings.receiver_count(), 1);
    drop(dropped);
    until(|| setup.settings.receiver_count() == 0).await;
    until(|| setup.server.open() == 0 && tasks() == before).await;

    let closed = connected(setup.builder()).await;
    closed.close().await;
    until(|| setup.settings.receiver_count() == 0).await;
    until(|| setup.server.open() == 0 && tasks() == before).await;

    // It ends with the sender, too, and the channel goes on.
    let (net, builder) = (other.net.clone(), other.builder());
    let channel = connected(builder).await;
    let with_sender = tasks();
    let Setup {
        settings, server, ..
    } = other;
    drop(settings);
    until(|| tasks() == with_sender - 1).await;
    succeeds(&channel).await;
    assert_eq!((net.dials(), server.open()), (1, 1));
}
