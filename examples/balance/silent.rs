//! One of three servers is frozen for 40 s: keepalive closes its connection.

use std::time::Duration;

use grpc_resilience::AttemptTimeoutLayer;
use grpc_resilience::channel::Channel;
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::{self, Nature, declared, open, ours};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use tokio::time::{Instant, sleep, sleep_until};

use crate::clients::to;

const NAME: &str = "silent";
const PER_SECOND: u32 = 500;
const VICTIM: usize = 1;
const CALM: Duration = Duration::from_secs(3);
const FROZEN_FOR: Duration = Duration::from_secs(40);
const AFTER: Duration = Duration::from_secs(7);
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// The interval and the answer's time, and some for a busy machine.
const MOST_OPEN: Duration = Duration::from_secs(17);
const GLANCE: Duration = Duration::from_millis(10);

/// What the channel shows of the frozen server.
#[derive(Default)]
struct Seen {
    /// How long after the freeze it had no connection.
    closed_after: Option<Duration>,
    /// The most calls on it after that.
    most_calls: u32,
}

/// Runs it.
pub(crate) async fn run() -> Result<Vec<Promise>, Failure> {
    let servers = fleet::start(3, Nature::default()).await?;
    let (interval, timeout) = KEEPALIVE;
    let channel = to(&servers)?
        .http2_keep_alive_interval(interval)
        .keep_alive_timeout(timeout)
        .build()?;
    let timeout = AttemptTimeoutLayer::new(Duration::from_millis(500))?;
    let resilience = declared()?.attempt_timeout(timeout);
    let (client, _) = ours(&resilience, &channel, servers.len()).await?;
    let victim = servers.get(VICTIM).ok_or("no such server")?;
    let length = CALM + FROZEN_FOR + AFTER;
    let opening = Instant::now();
    let freezing = async {
        sleep_until(opening + CALM).await;
        let frozen = victim.freeze().await?;
        let seen = look(&channel, &victim.address()?.to_string(), frozen).await;
        victim.thaw().await?;
        Ok::<_, Failure>(seen)
    };
    let work = async { tokio::join!(open(&client, PER_SECOND, opening, length), freezing) };
    let (record, seen) = watch("silent: frozen for 40 s", length, work).await?;
    let Seen {
        closed_after,
        most_calls,
    } = seen?;
    let later = opening.elapsed().saturating_sub(AFTER)..Duration::MAX;
    let answers = record.count(|call| {
        call.server.is_some_and(|server| server as usize == VICTIM) && later.contains(&call.ended)
    });
    Ok(vec![
        Promise::new(
            NAME,
            "a server frozen for 40 s under a keepalive of 10 s + 5 s: 0 failed",
            record.failures(),
            record.failed() == 0,
        ),
        Promise::new(
            NAME,
            "its connection is closed within 15 s (and 2 s for a busy machine)",
            closed_after.map_or_else(|| "never".into(), |it| format!("{it:.1?}")),
            closed_after.is_some_and(|it| it <= MOST_OPEN),
        )
        .of_times(),
        Promise::new(
            NAME,
            "no call goes there after that, and calls do once it goes on",
            format!("at most {most_calls} at a time; {answers} answers in the end"),
            closed_after.is_some() && most_calls == 0 && answers > 0,
        ),
    ])
}

/// Looks at one endpoint while it is frozen.
async fn look(channel: &Channel, name: &str, frozen: Instant) -> Seen {
    let mut seen = Seen::default();
    while frozen.elapsed() < FROZEN_FOR {
        sleep(GLANCE).await;
        let endpoints = channel.snapshot().endpoints;
        let Some(endpoint) = endpoints.iter().find(|it| it.name == name) else {
            continue;
        };
        let has_connection = !endpoint.connections.is_empty() || !endpoint.silent.is_empty();
        if seen.closed_after.is_some() {
            seen.most_calls = seen.most_calls.max(endpoint.in_flight);
        } else if !has_connection && endpoint.in_flight == 0 {
            seen.closed_after = Some(frozen.elapsed());
        }
    }
    seen
}
