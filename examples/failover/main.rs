//! Calls that survive the leader's death.
//!
//! Three openraft nodes in one process hold a replicated key-value store. Workers hammer it while
//! the leader is killed and restarted again and again, by five clients one after the other on the
//! same schedule: tonic alone, tonic in a retry loop written by hand, tonic under `grpc-resilience`
//! as the README sets it up, the same tuned for this cluster, and that over the channel of
//! `grpc-resilience`. Run it with `cargo run --release --example failover`.

mod args;
mod clients;
mod cluster;
mod count;
mod disk;
mod kills;
mod kv_service;
mod methods;
mod network;
mod node;
mod outcome;
mod own;
mod port;
mod progress;
mod proto;
mod readme;
mod record;
mod referee;
mod report;
mod storage;
mod store;
mod tuned;
mod workload;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use grpc_resilience_examples::Transport;
use tokio::time::Instant;

use crate::args::{Args, Client};
use crate::clients::{Recipe, balanced};
use crate::cluster::Cluster;
use crate::count::Attempts;
use crate::kills::Schedule;
use crate::outcome::{Outcome, Run};
use crate::progress::Progress;
use crate::referee::Referee;
use crate::report::{Report, broken_promises};
use crate::workload::{Crew, Orders};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<ExitCode, Failure> {
    let args = Args::parse();
    let mut report = Report {
        kills: args.kills,
        workers: args.workers,
        seed: args.seed,
        clients: Vec::new(),
        broken_promises: Vec::new(),
    };
    for &client in args.client.clients() {
        let outcome = test(client, &args).await?;
        if matches!(client, Client::Tuned | Client::Own) {
            report.broken_promises.extend(broken_promises(&outcome));
        }
        report.clients.push(outcome);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print_table();
    }
    for promise in &report.broken_promises {
        eprintln!("broken promise: {promise}");
    }
    Ok(if report.broken_promises.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs one client against a cluster of its own.
async fn test(client: Client, args: &Args) -> Result<Outcome, Failure> {
    let referee = Referee::default();
    let cluster = Cluster::start(&referee).await?;
    let attempts = Arc::<Attempts>::default();
    let nodes = cluster.endpoints();
    let field = Field {
        client,
        args,
        cluster,
        referee,
        attempts: Arc::clone(&attempts),
    };
    let channel = || balanced(&nodes, &attempts);
    match client {
        Client::Tonic => field.hammer(&channel()?, Recipe::Trust).await,
        Client::Recipe => {
            let recipe = Recipe::RetryByHand(tuned::pauses()?);
            field.hammer(&channel()?, recipe).await
        }
        Client::Readme => {
            field
                .hammer(&readme::wrap(channel()?)?, Recipe::Trust)
                .await
        }
        Client::Tuned => field.hammer(&tuned::wrap(channel()?)?, Recipe::Trust).await,
        Client::Own => {
            let channel = own::wrap(&nodes, &attempts)?;
            field.hammer(&channel, Recipe::Trust).await
        }
    }
}

/// A running cluster and those who watch it.
struct Field<'a> {
    client: Client,
    args: &'a Args,
    cluster: Cluster,
    referee: Referee,
    attempts: Arc<Attempts>,
}

impl Field<'_> {
    async fn hammer(
        mut self,
        channel: &impl Transport,
        recipe: Recipe,
    ) -> Result<Outcome, Failure> {
        let Args {
            kills,
            workers,
            seed,
            ..
        } = *self.args;
        let progress = Progress::start(self.client.name(), kills)?;
        let started = Instant::now();
        let crew = Crew::start(
            workers,
            channel,
            &Orders {
                seed,
                recipe,
                progress: progress.clone(),
            },
        );
        let failovers = Schedule::new(kills, seed)
            .carry_out(&mut self.cluster, &progress)
            .await?;
        let record = crew.stop().await?;
        let ended = Instant::now();
        self.cluster.wait_until_quiet().await?;
        progress.finish();
        let run = Run {
            client: self.client.name(),
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
