//! Calls to clusters of three etcd members while they are killed and restarted, and under timeouts.
//!
//! `.ci/run etcd` builds etcd 3.7, unpacks Debian's etcd 3.4, and runs this. The program exits
//! non-zero if a promise does not hold.

mod calls;
mod cluster;
mod follower;
mod leader;
mod leadership;
mod lease;
mod member;
mod outage;
mod proto;
mod quorum;
mod watch;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use foreign::Failure;
use foreign::promises::Promises;
use foreign::table::Table;

use crate::cluster::Cluster;

/// A call that takes longer lost at least one attempt to its timeout.
const SLOW: Duration = Duration::from_millis(1_600);

#[derive(Debug, Parser)]
struct Args {
    /// The etcd to run.
    #[arg(long)]
    etcd: PathBuf,
    /// An etcd 3.4 to run under timeouts, too: it answers `grpc-timeout` in words of its own.
    #[arg(long)]
    old: PathBuf,
    /// How often the leader is killed.
    #[arg(long, default_value_t = 6)]
    kills: u32,
    /// How often a follower is down.
    #[arg(long, default_value_t = 2)]
    followers: u32,
    /// How often all members are down.
    #[arg(long, default_value_t = 3)]
    outages: u32,
    /// The only part to run; all of them, if it is not given.
    #[arg(long)]
    only: Option<Only>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    Leader,
    Follower,
    Outage,
    Watch,
    Quorum,
    Lease,
}

#[tokio::main]
async fn main() -> ExitCode {
    // Its futures are large, and a thread has little memory for them.
    Box::pin(foreign::run(program(Args::parse()))).await
}

async fn program(args: Args) -> Result<ExitCode, Failure> {
    let wanted = |it| args.only.is_none_or(|only| only == it);
    let mut cluster = Cluster::start(&args.etcd).await?;
    let mut table = Table::new(SLOW);
    let mut promises = Promises::default();
    if wanted(Only::Leader) {
        leader::run(&mut cluster, args.kills, &mut table, &mut promises).await?;
    }
    if wanted(Only::Follower) {
        follower::run(&mut cluster, args.followers, &mut table, &mut promises).await?;
    }
    if wanted(Only::Outage) {
        outage::run(&mut cluster, args.outages, &mut table, &mut promises).await?;
    }
    if wanted(Only::Watch) {
        watch::run(&mut cluster, &mut promises).await?;
    }
    if wanted(Only::Quorum) || wanted(Only::Lease) {
        let mut old = Cluster::start_old(&args.old).await?;
        // Both versions at the same time: nothing here is about how fast they are.
        if wanted(Only::Quorum) {
            let runs = tokio::try_join!(
                quorum::run("3.7", &mut cluster),
                quorum::run("3.4", &mut old)
            )?;
            for tallies in [runs.0, runs.1] {
                quorum::check(&tallies, &mut table, &mut promises);
            }
        }
        if wanted(Only::Lease) {
            let runs = tokio::try_join!(lease::run("3.7", &cluster), lease::run("3.4", &old))?;
            for streams in [runs.0, runs.1].iter().flatten() {
                lease::check(streams, &mut promises);
            }
        }
    }
    println!("\n{table}");
    Ok(promises.verdict())
}
