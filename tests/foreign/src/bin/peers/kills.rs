//! Servers that end by SIGTERM or SIGKILL, and come back.

use std::time::Duration;

use foreign::Failure;
use foreign::load::Load;
use foreign::oracle::Oracle;
use foreign::over::Over;
use foreign::promises::Promises;
use foreign::table::Table;
use foreign::tally::{Failed, Record, Tally};
use grpc_resilience::GiveUp;
use tokio::time::{Instant, sleep};
use tonic::Code;

use crate::client::{Mixed, Told, client};
use crate::language::Language;
use crate::server::{Places, Server, Settings};

const KILLS: u32 = 3;

/// Of each client; half of them make unary calls, half of them client streams.
const CALLERS: u32 = 16;

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

/// How long the server runs before each kill, and after the last one.
fn up(language: Language) -> Duration {
    match language {
        // A JVM serves its first calls slowly; no call has to outlive two kills within its
        // deadline.
        Language::Java => Duration::from_secs(3),
        _ => Duration::from_secs(1),
    }
}

impl Dying {
    /// Whether the call was in flight meanwhile.
    fn cuts(self, record: &Record) -> bool {
        record.in_flight(self.from, self.to)
    }
}

/// Ends a server three times by each signal, under declared and undeclared calls over each channel.
pub(crate) async fn show(
    language: Language,
    overs: &[Over],
    places: &Places,
    table: &mut Table,
    promises: &mut Promises,
) -> Result<(), Failure> {
    for kill in [Kill::Term, Kill::Kill] {
        let mut server = Server::start(language, places, Settings::default()).await?;
        let load = Load::new(CALLERS / 2);
        let mut loads = Vec::new();
        for &over in overs {
            for told in [Told::All, Told::Nothing] {
                let client = client(over, told, &server.uri())?;
                loads.push((over, told, Mixed::start(&load, &client)));
            }
        }
        let mut deaths = Vec::new();
        for _ in 0..KILLS {
            sleep(up(language)).await;
            let dying = end(&mut server, kill).await?;
            let took = dying.to - dying.from;
            println!("{language} {kill:?}: ended after {} ms", took.as_millis());
            deaths.push(dying);
            sleep(DOWN).await;
            server.restart().await?;
        }
        sleep(up(language)).await;
        let mut tallies = Vec::new();
        for (over, told, load) in loads {
            tallies.push((over, told, load.stop().await?));
        }
        let oracle = server.oracle()?;
        for (over, told, tally) in tallies {
            let deaths = deaths.clone();
            let trial = Trial {
                language,
                over,
                kill,
                deaths,
            };
            table.add(&trial.name(told), &tally, Some(&oracle));
            match told {
                Told::All => trial.check_declared(&tally, promises),
                Told::Nothing => trial.check_undeclared(&tally, &oracle, promises),
            }
        }
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

/// A server that was ended several times.
#[derive(Debug)]
struct Trial {
    language: Language,
    over: Over,
    kill: Kill,
    deaths: Vec<Dying>,
}

impl Trial {
    fn name(&self, told: Told) -> String {
        let signal = match self.kill {
            Kill::Term => "SIGTERM",
            Kill::Kill => "SIGKILL",
        };
        format!("{} {} {}, {signal}", self.language, told.name(), self.over)
    }

    /// C-core answers calls that it accepted and gave to no handler with CANCELLED; over tonic's
    /// channel that is a CANCELLED like any other, over ours it is UNAVAILABLE (CONTRACT R18).
    fn cancelled_by_core(&self, failed: &Failed) -> bool {
        self.over == Over::Tonic
            && self.language == Language::Python
            && self.kill == Kill::Term
            && failed.is(Code::Cancelled)
            && failed.message == "CANCELLED"
    }

    /// What no declaration can cure: a message that was handed on, and then a lost connection
    /// instead of the status (CONTRACT R6). grpc-js sends these two apart.
    fn lost_its_status(&self, record: &Record, failed: &Failed) -> bool {
        self.kill == Kill::Kill
            && failed.gave_up(GiveUp::Committed)
            && self.deaths.iter().any(|it| it.cuts(record))
    }

    /// Declared calls do not fail.
    fn check_declared(&self, tally: &Tally, promises: &mut Promises) {
        let cancelled = |it: &(&Record, &Failed)| self.cancelled_by_core(it.1);
        let (cancelled, others): (Vec<_>, Vec<_>) = tally.failed().partition(cancelled);
        let committed = |it: &(&Record, &Failed)| self.lost_its_status(it.0, it.1);
        let (committed, others): (Vec<_>, Vec<_>) = others.into_iter().partition(committed);
        if cancelled.len() + committed.len() > 0 {
            println!(
                "  of {}: {} CANCELLED by C-core, {} lost between message and status",
                tally.calls(),
                cancelled.len(),
                committed.len()
            );
        }
        let example = others.first().map(|(_, it)| format!(", one with {it}"));
        let (name, failed) = (self.name(Told::All), others.len());
        promises.check(
            others.is_empty(),
            format!(
                "{name}: {failed} calls failed{}",
                example.unwrap_or_default()
            ),
        );
    }

    /// Undeclared calls fail only if they were in flight as the server died; none begins twice.
    fn check_undeclared(&self, tally: &Tally, oracle: &Oracle, promises: &mut Promises) {
        let (name, twice) = (self.name(Told::Nothing), oracle.twice(tally).len());
        promises.check(
            twice == 0,
            format!("{name}: {twice} undeclared calls began twice"),
        );
        let excused = |record: &Record, it: &Failed| {
            let lost = it.is(Code::Unavailable) || self.cancelled_by_core(it);
            lost && self.deaths.iter().any(|dying| dying.cuts(record))
        };
        let others = tally.failed().filter(|(record, it)| !excused(record, it));
        let others: Vec<_> = others.map(|(_, it)| it.to_string()).collect();
        let (failed, example) = (others.len(), others.first());
        promises.check(
            others.is_empty(),
            format!("{name}: {failed} calls failed that were not in flight, one with {example:?}"),
        );
    }
}
