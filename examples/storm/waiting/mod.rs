//! A thousand callers of one channel, and a server that comes up two seconds later.

mod callers;
mod figures;
mod network;

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::Failure;
use crate::args::Args;
use crate::arrivals::Arrivals;
use crate::clients::Caller;
use crate::faults::Faults;
use crate::load::Load;
use crate::progress::Progress;
use crate::record::Record;
use crate::server::{Server, Setup};
use crate::trial::LEAD;
use grpc_resilience_examples::show::plot::{Line, Plot, points};
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::series::{BUCKET, Series};
use grpc_resilience_examples::show::table::compare;

use callers::Callers;
use figures::{Figures, ROWS};
use network::{Dials, Port};

const NAME: &str = "waiting";
const CALLS: u32 = 1_000;
/// How long nobody listens.
const DOWN: Duration = Duration::from_secs(2);

const CAPTION: &str = "\
All callers call at once, through clones of one channel, to a port on which nobody listens for 2 s. Ours is Resilience::new()
with a wait-for-ready layer that dials after 50 ms, doubling to 1 s, without jitter: after 0, 50, 150, 350, 750, 1550 and
2550 ms; the loop calls tonic's Channel, and on UNAVAILABLE again after 50 ms. Dials are counted in the connector,
connections and arrivals at the server.";

/// What came of it, from both ends and in between.
struct Run {
    callers: Callers,
    record: Record,
    arrivals: Arrivals,
    dials: Series,
    /// As the channel counted them, just before the server was there.
    failed_dials: Option<u32>,
}

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let all = if args.quick {
        &[Callers::Spread][..]
    } else {
        &Callers::ALL
    };
    let mut runs = Vec::new();
    for &callers in all {
        runs.push(try_out(callers).await?);
    }
    let allowed = callers::dials_due(DOWN)?;
    let columns: Vec<_> = runs
        .iter()
        .map(|run| (run.callers.name(), Figures::of(run)))
        .collect();
    let title = format!("{CALLS} callers, nobody listens for {} s", DOWN.as_secs());
    println!("\n{}", compare(&title, &columns, &ROWS));
    println!("{CAPTION}");
    let path = plot(&runs).write(&args.out, "waiting.svg")?;
    println!("plot: {}", path.display());
    let ours = runs.iter().zip(&columns);
    let promises = ours
        .filter(|(run, _)| run.callers == Callers::Spread)
        .flat_map(|(_, (_, figures))| figures.promises(allowed));
    Ok(promises.collect())
}

async fn try_out(callers: Callers) -> Result<Run, Failure> {
    let opening = Instant::now() + LEAD;
    let port = Port::reserve()?;
    let dials = Dials::since(opening);
    let channel = dials.channel(port.address()?)?;
    if callers == Callers::Loop {
        return wait_out(callers, callers::looping(channel), None, port, dials).await;
    }
    let channel = callers.waiting(channel)?;
    let readiness = channel.readiness();
    let failed_dials = move || readiness.snapshot().failed_dials;
    let caller = callers::stub(channel);
    wait_out(callers, caller, Some(&failed_dials), port, dials).await
}

/// All call at once; the server comes up meanwhile.
async fn wait_out(
    callers: Callers,
    caller: impl Caller,
    failed_dials: Option<&dyn Fn() -> u32>,
    port: Port,
    dials: Dials,
) -> Result<Run, Failure> {
    let opening = dials.opening();
    // Soon enough that all of them find nobody, and slow enough to be a load like any other.
    let load = Load {
        per_second: 100 * CALLS,
        length: Duration::from_millis(10),
    };
    let name = format!("{NAME}: {}", callers.name());
    let progress = Progress::start(name, vec![("waiting", DOWN)], load.calls())?;
    let coming_up = async {
        sleep_until(opening + DOWN).await;
        let failed_dials = failed_dials.map(|count| count());
        let setup = Setup::faulty(Faults::None);
        let server = Server::start_on(port.listen()?, setup, opening)?;
        Ok::<_, Failure>((server, failed_dials))
    };
    let calling = async {
        sleep_until(opening).await;
        Ok(load.offer(&caller, opening, &progress).await)
    };
    let ((server, failed_dials), record) = tokio::try_join!(coming_up, calling)?;
    progress.finish();
    Ok(Run {
        callers,
        record,
        arrivals: server.stop()?,
        dials: dials.seen(),
        failed_dials,
    })
}

fn plot(runs: &[Run]) -> Plot {
    let last = |run: &Run| run.arrivals.attempts.ends().map(|(_, last)| last);
    let end = runs.iter().filter_map(last).max().unwrap_or_default() + 3 * BUCKET;
    let line = |run: &Run| Line {
        name: run.callers.name(),
        is_ours: run.callers == Callers::Spread,
        points: points(&run.arrivals.attempts, end),
    };
    Plot {
        title: format!(
            "Arrivals at a server that comes up after {} s",
            DOWN.as_secs()
        ),
        x: "time (s)",
        y: "arrivals per 100 ms",
        shaded: Some((0.0..DOWN.as_secs_f64(), "nobody listens")),
        lines: runs.iter().map(line).collect(),
    }
}
