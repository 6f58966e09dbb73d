//! The name grows from one server to ten.

use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{OURS, declared, ours, plot, workers};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use tokio::time::{Instant, sleep_until};

use crate::args::Args;
use crate::clients::channel;
use crate::dns::Fleet;

const NAME: &str = "scale";
const WORKERS: u32 = 16;
const SERVERS: u8 = 10;
/// In seconds.
const TTL: u32 = 5;
/// The name grows just after it was looked up, so that nearly the whole TTL is to pass.
const CALM: Duration = Duration::from_millis(300);
const BY: Duration = Duration::from_secs(6);
const AFTER: Duration = Duration::from_secs(9);

/// Of the nine tenths that nine of ten servers are due.
const LEAST_SHARE: f64 = 0.9 * 90.0;

/// Runs it, and prints what it saw.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let fleet = Fleet::of(SERVERS).await?;
    fleet.name_for(TTL, 0..1)?;
    let channel = channel(fleet.target()?)?;
    let (client, _) = ours(&declared()?, &channel, 1).await?;
    let opening = Instant::now();
    let growing = async {
        sleep_until(opening + CALM).await;
        fleet.name_for(TTL, 0..usize::from(SERVERS))?;
        Ok::<_, Failure>(opening.elapsed())
    };
    let length = CALM + AFTER;
    let work = async { tokio::join!(workers(&client, WORKERS, opening, length), growing) };
    let (record, grown) = watch("scale: from one server to ten", length, work).await?;
    let grown = grown?;
    let share = record.share(1..u32::from(SERVERS), grown + BY..Duration::MAX);
    let words = ("A name grows", "answers of the nine new servers per 100 ms");
    let shaded = Some((grown..grown + BY, "TTL + 1 s"));
    let records = [(OURS, &record)];
    plot(&args.out, "scale.svg", words, shaded, &records, |call| {
        call.server.is_some_and(|server| server > 0)
    })?;
    Ok(vec![
        Promise::new(
            NAME,
            "a name that grows from one address to ten: 0 failed",
            record.failures(),
            record.failed() == 0,
        ),
        Promise::new(
            NAME,
            "by TTL + 1 s the nine new servers carry at least 90 % of their share (81 % of all)",
            format!("{share:.1} %"),
            share >= LEAST_SHARE,
        )
        .of_times(),
    ])
}
