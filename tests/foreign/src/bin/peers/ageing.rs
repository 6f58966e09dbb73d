//! Connections that end after a short while.

use std::time::Duration;

use foreign::Failure;
use foreign::load::Load;
use foreign::oracle::Oracle;
use foreign::over::Over;
use foreign::promises::Promises;
use foreign::table::Table;
use foreign::tally::{Failed, Record, Tally};
use grpc_resilience::GiveUp;

use crate::HELD_UP;
use crate::client::{Client, Mixed, Told, client, unary_call};
use crate::language::Language;
use crate::server::{Places, Server, Settings};

const AGE: Duration = Duration::from_millis(200);

/// Half of the callers make unary calls, half of them client streams.
const CALLERS: u32 = 32;

/// One in so many calls may be held up by ageing.
const HELD_UP_OF: usize = 10_000;

/// One in so many undeclared calls may be lost with its connection, over tonic's channel: a write
/// that fails hides the GOAWAY that lies unread, and nothing says whether such a call ran. On a
/// busy machine all calls of a connection are lost at once.
const LOST_OF: usize = 10_000;

/// Loads two servers at the same time, one of which ends its connections.
///
/// So a moment in which the machine is busy holds up the calls of both.
pub(crate) async fn show(
    language: Language,
    over: Over,
    places: &Places,
    time: Duration,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    for told in [Told::Nothing, Told::All] {
        let steady = Loaded::start(language, over, places, None, told).await?;
        let ageing = Loaded::start(language, over, places, Some(AGE), told).await?;
        let (steady, ageing) = tokio::try_join!(steady.run(time), ageing.run(time))?;

        let name = format!("{language} {} {over}, steady", told.name());
        let (tally, oracle) = &steady;
        table.add(&name, tally, Some(oracle));
        let failed = tally.failed().count();
        promises.check(failed == 0, format!("{name}: {failed} calls failed"));

        let name = format!("{language} {} {over}, ageing", told.name());
        let (tally, oracle) = &ageing;
        table.add(&name, tally, Some(oracle));
        check_ageing(&name, language, time, oracle, promises);
        check_once(&name, told, tally, oracle, promises);
        match over {
            Over::Tonic => check_failures(&name, told, tally, oracle, promises),
            Over::Ours => check_ours(&name, tally, oracle, promises),
        }
        check_held_up(&name, &steady.0, tally, promises);
    }
    Ok(())
}

/// A server, and a client with which it is warm.
#[derive(Debug)]
struct Loaded {
    server: Server,
    client: Client,
}

impl Loaded {
    async fn start(
        language: Language,
        over: Over,
        places: &Places,
        age: Option<Duration>,
        told: Told,
    ) -> Result<Self, Failure> {
        let settings = Settings {
            age,
            ..Settings::default()
        };
        let server = Server::start(language, places, settings).await?;
        let client = client(over, told, &server.uri())?;
        // A JVM is slow at first, which is not what is measured here.
        let warm = client.clone();
        let call = move |id| unary_call(warm.clone(), id);
        Load::new(4).calls(400).run(call).await?;
        Ok(Self { server, client })
    }

    async fn run(self, time: Duration) -> Result<(Tally, Oracle), Failure> {
        let load = Load::new(CALLERS / 2).time(time);
        let tally = Mixed::start(&load, &self.client).finish().await?;
        let oracle = self.server.oracle()?;
        let unseen = oracle.unseen(&tally).len();
        if unseen > 0 {
            return Err(format!("a server's log misses {unseen} answered calls").into());
        }
        Ok((tally, oracle))
    }
}

/// Connections do end; without that the other promises would say nothing.
fn check_ageing(
    name: &str,
    language: Language,
    time: Duration,
    oracle: &Oracle,
    promises: &mut Promises,
) {
    // netty raises any shorter age to a second.
    let age = match language {
        Language::Java => Duration::from_secs(1),
        _ => AGE,
    };
    // The age has a jitter of a tenth, and a busy machine is late.
    let (found, least) = (oracle.connections(), time.as_millis() / age.as_millis() / 3);
    println!("  over {found} connections");
    promises.check(
        found as u128 >= least,
        format!("{name}: {found} connections, at least {least} should have been needed"),
    );
}

fn check_once(name: &str, told: Told, tally: &Tally, oracle: &Oracle, promises: &mut Promises) {
    let twice = oracle.twice(tally).len();
    if told == Told::Nothing {
        promises.check(
            twice == 0,
            format!("{name}: {twice} undeclared calls began twice"),
        );
    }
}

/// Over tonic's channel nothing fails but undeclared calls that may have reached the server: those
/// whose kind is unknown, and those that were lost with their connection.
fn check_failures(name: &str, told: Told, tally: &Tally, oracle: &Oracle, promises: &mut Promises) {
    let is_undeclared = |it: &Failed| told == Told::Nothing && it.gave_up(GiveUp::NotIdempotent);
    let is_of_unknown_kind = |it: &Failed| is_undeclared(it) && it.message.contains("kind");
    let is_lost =
        |it: &Failed| is_undeclared(it) && it.reason.as_deref() == Some("connection_lost");
    let of_unknown_kind = tally
        .failed()
        .filter(|(_, it)| is_of_unknown_kind(it))
        .count();
    let lost: Vec<_> = tally.failed().filter(|(_, it)| is_lost(it)).collect();
    let others: Vec<_> = tally
        .failed()
        .filter(|(_, it)| !is_of_unknown_kind(it) && !is_lost(it))
        .collect();
    let calls = tally.calls();
    if told == Told::Nothing {
        println!("  {of_unknown_kind} of {calls} failed because their kind is unknown");
        let begun = lost
            .iter()
            .filter(|(it, _)| oracle.begun(it.id) > 0)
            .count();
        let lost = lost.len();
        println!("  {lost} of {calls} were lost with their connection, {begun} of them had begun");
        promises.measure(
            lost <= calls / LOST_OF,
            format!("{name}: {lost} of {calls} calls were lost with their connection"),
        );
    }
    let failed = others.len();
    promises.check(
        failed == 0,
        format!("{name}: {failed} calls failed{}", example(&others)),
    );
}

/// This crate's channel knows which calls were not processed, whatever their kind: none fails.
fn check_ours(name: &str, tally: &Tally, oracle: &Oracle, promises: &mut Promises) {
    let failed: Vec<_> = tally.failed().collect();
    let begun = failed.iter().filter(|(it, _)| oracle.begun(it.id) > 0);
    let (begun, count) = (begun.count(), failed.len());
    promises.check(
        failed.is_empty(),
        format!(
            "{name}: {count} calls failed, {begun} of them had begun{}",
            example(&failed)
        ),
    );
}

fn example<R>(failures: &[(R, &Failed)]) -> String {
    let first = failures.first();
    first.map_or(String::new(), |(_, it)| format!(", one with {it}"))
}

/// Ageing holds up no more calls than one in 10,000.
///
/// The machine holds up some, too: then calls to the other server are held up at the same time.
fn check_held_up(name: &str, steady: &Tally, aged: &Tally, promises: &mut Promises) {
    let by_machine: Vec<_> = steady.held_up(HELD_UP).collect();
    let by_ageing = aged.held_up(HELD_UP).filter(|call| {
        let at_the_same_time = |it: &&Record| it.overlaps(call);
        !by_machine.iter().any(at_the_same_time)
    });
    let (found, calls) = (by_ageing.count(), aged.calls());
    let limit = HELD_UP.as_millis();
    promises.measure(
        found <= calls / HELD_UP_OF,
        format!("{name}: {found} of {calls} calls took over {limit} ms, those without ageing less"),
    );
}
