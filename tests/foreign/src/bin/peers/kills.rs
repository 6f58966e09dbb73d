//! Servers that end by SIGTERM or SIGKILL, and come back.

use std::time::Duration;

use foreign::Failure;
use foreign::load::Load;
use foreign::oracle::Oracle;
use foreign::promises::Promises;
use foreign::table::Table;
use foreign::tally::{Failed, Record, Tally};
use grpc_resilience::GiveUp;
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::client::{Mixed, Told};
use crate::language::Language;
use crate::server::{Places, Server, Settings};

const KILLS: u32 = 3;

/// Of each of the two clients; half of them make unary calls, half of them client streams.
const CALLERS: u32 = 16;

/// How long the server runs before each kill, and after the last one.
const UP: Duration = Duration::from_secs(1);

/// How long after the end of a process the next one starts.
const DOWN: Duration = Duration::from_millis(300);

/// A server drains for two seconds at most.
const LONGEST_DRAIN: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    Term,
    Kill,
}

/// From the signal until the process has ended.
#[derive(Clone, Copy, Debug)]
struct Dying {
    from: Instant,
    to: Instant,
}

/// Ends a server three times by each signal, under declared and undeclared calls.
pub(crate) async fn show(
    language: Language,
    places: &Places,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    for kill in [Kill::Term, Kill::Kill] {
        let mut server = Server::start(language, places, Settings::default()).await?;
        let load = Load::new(CALLERS / 2);
        let undeclared = Mixed::start(&load, &Told::Nothing.client(&server.uri())?);
        let declared = Mixed::start(&load, &Told::All.client(&server.uri())?);
        let mut deaths = Vec::new();
        for _ in 0..KILLS {
            sleep(UP).await;
            deaths.push(end(&mut server, kill).await?);
            sleep(DOWN).await;
            server.restart().await?;
        }
        sleep(UP).await;
        let (undeclared, declared) = tokio::try_join!(undeclared.stop(), declared.stop())?;
        let oracle = server.oracle()?;

        let signal = match kill {
            Kill::Term => "SIGTERM",
            Kill::Kill => "SIGKILL",
        };
        let name = format!("{language} declared, {signal}");
        table.add(&name, &declared, Some(&oracle));
        check_declared(&name, language, kill, &declared, promises);
        let name = format!("{language} undeclared, {signal}");
        table.add(&name, &undeclared, Some(&oracle));
        check_undeclared(&name, &undeclared, &oracle, &deaths, promises);
    }
    Ok(())
}

async fn end(server: &mut Server, kill: Kill) -> Result<Dying, Failure> {
    let from = Instant::now();
    match kill {
        Kill::Term => {
            server.process().terminate()?;
            server.process().ended(LONGEST_DRAIN).await?;
        }
        Kill::Kill => server.process().kill().await?,
    }
    Ok(Dying {
        from,
        to: Instant::now(),
    })
}

/// Python answers calls that it accepted and gave to no handler with CANCELLED (RULES R18).
fn cancelled_by_python(language: Language, kill: Kill, failed: &Failed) -> bool {
    language == Language::Python && kill == Kill::Term && failed.is(Code::Cancelled)
}

fn check_declared(
    name: &str,
    language: Language,
    kill: Kill,
    tally: &Tally,
    promises: &mut Promises,
) {
    let (cancelled, others): (Vec<_>, Vec<_>) = tally
        .failed()
        .map(|(_, it)| it)
        .partition(|it| cancelled_by_python(language, kill, it));
    if language == Language::Python {
        println!("  {} of {} CANCELLED", cancelled.len(), tally.calls());
    }
    let example = others.first().map_or(String::new(), ToString::to_string);
    promises.check(
        others.is_empty(),
        format!("{name}: {} calls failed: {example}", others.len()),
    );
}

/// Undeclared calls fail only if they were in flight as the server died; none begins twice.
fn check_undeclared(
    name: &str,
    tally: &Tally,
    oracle: &Oracle,
    deaths: &[Dying],
    promises: &mut Promises,
) {
    let twice = oracle.twice(tally).len();
    promises.check(
        twice == 0,
        format!("{name}: {twice} undeclared calls began twice"),
    );
    let excused = |record: &Record, failed: &Failed| {
        let judged = failed.gave_up(GiveUp::NotIdempotent) || failed.is(Code::Cancelled);
        judged && deaths.iter().any(|it| in_flight(record, *it))
    };
    let others: Vec<_> = tally
        .failed()
        .filter(|(record, it)| !excused(record, it))
        .map(|(_, it)| it)
        .collect();
    let example = others.first().map_or(String::new(), ToString::to_string);
    promises.check(
        others.is_empty(),
        format!(
            "{name}: {} calls failed that were not in flight at a kill: {example}",
            others.len()
        ),
    );
}

fn in_flight(record: &Record, dying: Dying) -> bool {
    record.start <= dying.to && record.start + record.took >= dying.from
}
