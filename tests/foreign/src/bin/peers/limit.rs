//! Servers that allow ten streams on a connection, under more callers than that.

use std::sync::Arc;
use std::time::Duration;

use foreign::Failure;
use foreign::load::{CallId, Load};
use foreign::over::{Over, Sends};
use foreign::promises::Promises;
use foreign::table::Table;
use foreign::tally::Tally;
use grpc_resilience::channel::Channel;
use tokio::time::sleep;

use crate::client::{Client, Mixed, Told, client, ours, unary_call, waiting_call};
use crate::language::Language;
use crate::server::{Places, Server, Settings};

const STREAMS: u32 = 10;
const CALLERS: u32 = 64;
const TIME: Duration = Duration::from_secs(4);

/// From then on a client knows what the server really takes.
const LEARNT: Duration = Duration::from_secs(1);

/// The most of the sends that the server may refuse after that (CONTRACT C19).
const REFUSED: f64 = 0.03;

/// How long a handler takes where the limit, not the language, is to count.
const HANDLER: Duration = Duration::from_millis(10);

/// How much longer the slowest calls to C-core may take than those to grpc-go, which refuses none.
const SLOWER: f64 = 2.0;

/// The 99th percentiles of the languages that were shown.
#[derive(Debug, Default)]
pub(crate) struct Slowest(Vec<(Language, Duration)>);

impl Slowest {
    fn of(&self, language: Language) -> Option<Duration> {
        let found = self.0.iter().find(|it| it.0 == language);
        found.map(|it| it.1)
    }

    /// Compares them, if both were shown.
    pub(crate) fn check(&self, promises: &mut Promises) {
        let both = self.of(Language::Python).zip(self.of(Language::Go));
        if let Some((python, go)) = both {
            println!("limit of {STREAMS}: p99 of python {python:?}, of go {go:?}");
            promises.measure(
                python <= go.mul_f64(SLOWER),
                format!("limit of {STREAMS}: p99 of python {python:?}, of go {go:?}"),
            );
        }
    }
}

/// Calls at once and under load, over one connection of this crate's, and over tonic's.
pub(crate) async fn show(
    language: Language,
    overs: &[Over],
    places: &Places,
    slowest: &mut Slowest,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    if overs.contains(&Over::Ours) {
        at_once(language, places, promises).await?;
        loaded(language, places, table, promises).await?;
        slowest
            .0
            .push(waiting(language, places, table, promises).await?);
    }
    if overs.contains(&Over::Tonic) {
        loaded_over_tonic(language, places, table, promises).await?;
    }
    Ok(())
}

async fn start(language: Language, places: &Places) -> Result<Server, Failure> {
    let settings = Settings {
        streams: Some(STREAMS),
        ..Settings::default()
    };
    Server::start(language, places, settings).await
}

/// A channel of one connection, on which nothing was sent yet.
fn one_connection(server: &Server, sends: &Arc<Sends>) -> Result<(Client, Channel), Failure> {
    let builder = Channel::builder(server.uri()).max_connections(1);
    ours(&Told::Nothing.stack()?, builder, sends)
}

/// A fresh channel does not send before it knows the limit: netty would end the connection, C-core
/// would reset streams (CONTRACT C1).
async fn at_once(
    language: Language,
    places: &Places,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let server = start(language, places).await?;
    let (client, channel) = one_connection(&server, &Arc::default())?;
    let call = move |id| unary_call(client.clone(), id);
    let load = Load::new(CALLERS).calls(CALLERS.into());
    let tally = load.run(call).await?;
    let oracle = server.oracle()?;
    let name = format!("{language} {CALLERS} at once");
    let (failures, connections) = (tally.failures(), oracle.connections());
    println!("{name}: {connections} connections, failed {failures:?}");
    promises.check(failures.is_empty(), format!("{name}: failed {failures:?}"));
    let snapshot = channel.snapshot();
    let kept: usize = snapshot
        .endpoints
        .iter()
        .map(|it| it.connections.len())
        .sum();
    promises.check(
        (connections, kept) == (1, 1),
        format!("{name}: over {connections} connections, then {kept} left"),
    );
    Ok(())
}

async fn loaded(
    language: Language,
    places: &Places,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let server = start(language, places).await?;
    let sends = Arc::<Sends>::default();
    let (client, channel) = one_connection(&server, &sends)?;
    let running = Mixed::start(&Load::new(CALLERS / 2), &client);
    sleep(LEARNT).await;
    let (sent, refused) = (sends.sent(), sends.refused());
    sleep(TIME.saturating_sub(LEARNT)).await;
    let (limit, tally) = (limit(&channel), running.stop().await?);
    let name = format!("{language} undeclared over ours, {STREAMS} streams");
    check(&name, &server, &tally, table, promises)?;
    let (sent, refused) = (sends.sent() - sent, sends.refused() - refused);
    println!(
        "  {refused} of {sent} sends refused after {LEARNT:?}; the limit is {limit:?} by then"
    );
    #[expect(clippy::cast_precision_loss, reason = "counts of calls made here")]
    let share = refused as f64 / sent as f64;
    promises.measure(
        share <= REFUSED,
        format!("{name}: {refused} of {sent} sends refused after {LEARNT:?}"),
    );
    Ok(())
}

fn limit(channel: &Channel) -> Option<u32> {
    let endpoints = channel.snapshot().endpoints;
    let connection = endpoints.first()?.connections.first()?;
    Some(connection.limit)
}

/// The same with handlers that take a while, so that the slots are what calls wait for.
async fn waiting(
    language: Language,
    places: &Places,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(Language, Duration), Failure> {
    let server = start(language, places).await?;
    let (client, _channel) = one_connection(&server, &Arc::default())?;
    let call = move |id: CallId| waiting_call(client.clone(), id, HANDLER);
    // A JVM is slow at first.
    Load::new(CALLERS).calls(500).run(call.clone()).await?;
    let tally = Load::new(CALLERS).time(TIME).run(call).await?;
    let name = format!("{language} undeclared over ours, {STREAMS} streams of {HANDLER:?}");
    check(&name, &server, &tally, table, promises)?;
    let durations = tally.durations();
    let p99 = durations.get(durations.len() * 99 / 100).copied();
    Ok((language, p99.unwrap_or_default()))
}

fn check(
    name: &str,
    server: &Server,
    tally: &Tally,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let oracle = server.oracle()?;
    table.add(name, tally, Some(&oracle));
    let (failures, twice) = (tally.failures(), oracle.twice(tally).len());
    promises.check(failures.is_empty(), format!("{name}: failed {failures:?}"));
    promises.check(twice == 0, format!("{name}: {twice} calls began twice"));
    Ok(())
}

/// tonic's channel does not know what the server refuses for, and sends before it knows the limit:
/// calls fail, but none begins twice.
async fn loaded_over_tonic(
    language: Language,
    places: &Places,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let server = start(language, places).await?;
    let client = client(Over::Tonic, Told::Nothing, &server.uri())?;
    let load = Load::new(CALLERS / 2).time(TIME / 2);
    let tally = Mixed::start(&load, &client).finish().await?;
    let oracle = server.oracle()?;
    let name = format!("{language} undeclared over tonic's, {STREAMS} streams");
    table.add(&name, &tally, Some(&oracle));
    let twice = oracle.twice(&tally).len();
    promises.check(twice == 0, format!("{name}: {twice} calls began twice"));
    Ok(())
}
