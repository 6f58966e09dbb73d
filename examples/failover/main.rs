//! Calls that survive the leader's death.
//!
//! Three openraft nodes in one process hold a replicated key-value store. Workers hammer it while
//! the leader is killed and restarted again and again, by five clients one after the other on the
//! same schedule: tonic alone, tonic in a retry loop written by hand, tonic gated by health as
//! raft-grpc-leader-rpc advises, the layers of `grpc-resilience` over tonic, and `grpc-resilience`
//! as the README sets it up. Run it with `cargo run --release --example failover`. It exits
//! non-zero if the last client broke a promise.

mod args;
mod clients;
mod cluster;
mod count;
mod disk;
mod down;
mod gated;
mod kills;
mod kv_service;
mod methods;
mod network;
mod node;
mod outcome;
mod port;
mod progress;
mod proto;
mod readme;
mod record;
mod referee;
mod reigns;
mod report;
mod storage;
mod store;
mod verdict;
mod workload;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use grpc_resilience_examples::show::again::unless_busy;
use grpc_resilience_examples::show::promise::{Promise, conclude};
use grpc_resilience_examples::{Failure, Transport};
use tokio::time::Instant;

use crate::args::{Args, Client};
use crate::clients::{Recipe, balanced};
use crate::cluster::Cluster;
use crate::count::{Attempts, Counted};
use crate::kills::Schedule;
use crate::outcome::{Outcome, Run};
use crate::progress::Progress;
use crate::referee::Referee;
use crate::report::{Report, print_caption};
use crate::workload::{Crew, Orders};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<ExitCode, Failure> {
    let args = Args::parse();
    let (mut reports, mut promises) = (Vec::new(), Vec::new());
    for seed in args.seeds() {
        let (report, of_seed) = run(&args, seed).await?;
        if !args.json {
            report.print_table();
        }
        reports.push(report);
        promises.extend(of_seed);
    }
    if !args.json {
        print_caption();
        return Ok(conclude(&promises));
    }
    println!("{}", serde_json::to_string_pretty(&reports)?);
    Ok(if promises.iter().all(|it| it.kept) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the clients one after the other.
async fn run(args: &Args, seed: u64) -> Result<(Report, Vec<Promise>), Failure> {
    let (mut clients, mut promises) = (Vec::new(), Vec::new());
    for &client in args.client.clients() {
        let mut outcome = None;
        let of_client = unless_busy(async || {
            let found = outcome.insert(test(client, args, seed).await?);
            Ok(match client {
                Client::Channel => verdict::promises(found, args.kills, seed),
                _ => Vec::new(),
            })
        });
        promises.extend(of_client.await?);
        clients.extend(outcome);
    }
    let broken = promises.iter().filter(|it| !it.kept);
    let report = Report {
        kills: args.kills,
        workers: args.workers,
        seed,
        clients,
        broken_promises: broken.map(ToString::to_string).collect(),
    };
    Ok((report, promises))
}

/// Runs one client against a cluster of its own.
async fn test(client: Client, args: &Args, seed: u64) -> Result<Outcome, Failure> {
    let referee = Referee::default();
    let cluster = Cluster::start(&referee).await?;
    let attempts = Arc::<Attempts>::default();
    let nodes = cluster.endpoints();
    let mut field = Field {
        client,
        args,
        seed,
        cluster,
        referee,
        attempts: Arc::clone(&attempts),
    };
    let channel = || balanced(&nodes, &attempts);
    match client {
        Client::Tonic => field.hammer(&channel()?, Recipe::Trust).await,
        Client::Loop => field.hammer(&channel()?, Recipe::by_hand()?).await,
        Client::Recipe => {
            let (channel, _watches) = gated::channel(&nodes, &attempts)?;
            field.hammer(&channel, Recipe::middleware()?).await
        }
        Client::Layers => {
            let channel = readme::layers(channel()?)?;
            field.hammer(&channel, Recipe::Layered).await
        }
        Client::Channel => {
            let channel = readme::channel(&nodes)?;
            let channel = readme::layers(Counted::new(channel, attempts))?;
            let outcome = field.hammer(&channel, Recipe::Layered).await?;
            let down = down::calls(&mut field.cluster, &channel).await?;
            Ok(Outcome {
                down: Some(down),
                ..outcome
            })
        }
    }
}

/// A running cluster and those who watch it.
struct Field<'a> {
    client: Client,
    args: &'a Args,
    seed: u64,
    cluster: Cluster,
    referee: Referee,
    attempts: Arc<Attempts>,
}

impl Field<'_> {
    async fn hammer(
        &mut self,
        channel: &impl Transport,
        recipe: Recipe,
    ) -> Result<Outcome, Failure> {
        let Args { kills, workers, .. } = *self.args;
        let progress = Progress::start(self.client.name(), kills)?;
        let started = Instant::now();
        let crew = Crew::start(
            workers,
            channel,
            &Orders {
                seed: self.seed,
                recipe,
                progress: progress.clone(),
            },
        );
        let failovers = Schedule::new(kills, self.seed)
            .carry_out(&mut self.cluster, &progress)
            .await?;
        let record = crew.stop().await?;
        let ended = Instant::now();
        self.cluster.wait_until_quiet().await?;
        progress.finish();
        let run = Run {
            client: self.client,
            started,
            ended,
            record,
            attempts: &self.attempts,
            failovers,
            referee: &self.referee,
            cluster: &self.cluster,
        };
        run.sum_up()
    }
}
