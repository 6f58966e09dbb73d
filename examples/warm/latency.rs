//! Calls one by one, beside bare connections of tonic's to the same servers.

use std::time::Duration;

use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::proto::fleet_client::FleetClient;
use grpc_resilience_examples::fleet::{Caller, OURS, connected_to, warmed};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::{Row, compare};
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Endpoint;

use crate::args::Args;
use crate::clients::channel;
use crate::dns::{Fleet, SERVERS};

const NAME: &str = "latency";
const CALLS: u32 = 300;
/// About how long a round takes, for the bar.
const ROUND: Duration = Duration::from_millis(150);

const MOST_EXTRA_US: f64 = 10.0;

/// p50s in microseconds, one a round.
struct Figures(Vec<f64>);

/// Runs it, and prints the table.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let rounds = if args.quick { 11 } else { 31 };
    let fleet = Fleet::start().await?;
    let all = usize::from(SERVERS);
    fleet.name(0..all)?;
    let channel = channel(fleet.target()?)?;
    connected_to(&channel, all).await?;
    let ours = FleetClient::new(channel);
    let mut bare = Vec::new();
    for address in fleet.addresses(0..all)? {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        bare.push(FleetClient::new(endpoint.connect().await?));
    }
    for client in &bare {
        warmed(client).await?;
    }
    let work = async {
        let (mut pool, mut alone, mut extra) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..rounds {
            // The machine changes from round to round, and less within one.
            let first = p50(&bare, round).await?;
            let ours = p50(std::slice::from_ref(&ours), round).await?;
            let second = p50(&bare, round).await?;
            let control = f64::midpoint(first, second);
            pool.push(ours);
            alone.push(control);
            extra.push(ours - control);
        }
        Ok::<_, Status>((pool, alone, extra))
    };
    let length = ROUND * rounds;
    let (pool, alone, extra) = watch("latency: in turn", length, work).await??;
    let columns = [(OURS, Figures(pool)), ("bare tonic", Figures(alone))];
    println!("\n{}", compare("calls one by one", &columns, &ROWS));
    let extra = median(&extra);
    Ok(vec![
        Promise::new(
            NAME,
            "p50 of the channel over six bare connections of tonic's: at most +10 us",
            format!("{extra:+.1} us"),
            extra <= MOST_EXTRA_US,
        )
        .of_times(),
    ])
}

/// The p50 of some calls, in microseconds, by these clients in turn.
async fn p50(clients: &[impl Caller], round: u32) -> Result<f64, Status> {
    let mut latencies = Vec::new();
    for (call, client) in (0..CALLS).zip(clients.iter().cycle()) {
        let before = Instant::now();
        client.make(round * CALLS + call).await?;
        latencies.push(1e6 * before.elapsed().as_secs_f64());
    }
    Ok(median(&latencies))
}

fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

const ROWS: [Row<Figures>; 1] = [("p50 (us), median of the rounds", |it| {
    format!("{:.1}", median(&it.0))
})];
