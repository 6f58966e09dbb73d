//! One of three servers says `NOT_SERVING` while calls run on it, then all of them do.

use std::time::Duration;

use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::proto::Question;
use grpc_resilience_examples::fleet::{HEALTH, Ours, Record, declared, ours, workers};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::{Request, Status};

use crate::args::Args;
use crate::clients::builder;
use crate::dns::{Fleet, NAMED};

const NAME: &str = "unhealthy";
const WORKERS: u32 = 16;
const VICTIM: usize = 1;
/// The calls that run there when it says so, and for how long.
const RUNNING: u32 = 30;
const RUN_FOR: Duration = Duration::from_millis(1_500);
/// After this time no call may begin there.
const GRACE: Duration = Duration::from_millis(100);
const CALM: Duration = Duration::from_secs(1);

/// Runs it; this crate's channel alone, since no other one here watches health.
pub(crate) async fn run(args: &Args) -> Result<Vec<Promise>, Failure> {
    let mut fleet = Fleet::start().await?;
    let after = if args.quick { CALM } else { CALM * 4 };
    let mut promises = one(&mut fleet, after).await?;
    promises.push(all(&mut fleet, after).await?);
    Ok(promises)
}

/// One of three, with 30 calls running on it.
async fn one(fleet: &mut Fleet, after: Duration) -> Result<Vec<Promise>, Failure> {
    let channel = builder(fleet.target()?).health_check(HEALTH).build()?;
    let (client, _) = ours(&declared()?, &channel, NAMED).await?;
    let victim = fleet.servers.get_mut(VICTIM).ok_or("no such server")?;
    let (name, index) = (victim.address()?.to_string(), victim.index());
    let opening = Instant::now();
    let length = CALM + RUN_FOR + after;
    let falls_ill = async {
        sleep_until(opening + CALM).await;
        let mut running = JoinSet::new();
        for call in 0..RUNNING {
            running.spawn(long_call(client.clone(), call, name.clone()));
        }
        sleep(RUN_FOR / 5).await;
        let told = victim.says(false).await?;
        let answers = running.join_all().await;
        Ok::<_, Failure>((told - opening, answers))
    };
    let work = async { tokio::join!(workers(&client, WORKERS, opening, length), falls_ill) };
    let (record, ill) = watch("unhealthy: one of three", length, work).await?;
    let (told, answers) = ill?;
    victim.says(true).await?;
    let finished = answers
        .iter()
        .filter(|it| matches!(it, Ok(server) if *server == index));
    let finished = finished.count();
    let late = record.count(|call| call.server == Some(index) && call.started > told + GRACE);
    let before = record.count(|call| call.server == Some(index));
    Ok(vec![
        Promise::new(
            NAME,
            "NOT_SERVING with 30 calls running: 30 finish there",
            format!("{finished} of {RUNNING}"),
            finished == RUNNING as usize && before > 0,
        ),
        Promise::new(
            NAME,
            "no new one there after 100 ms",
            format!("{late} of {}", record.total()),
            late == 0,
        )
        .of_times(),
        none_failed("one of three says NOT_SERVING: 0 failed", &record),
    ])
}

/// A call to this server; which answered.
async fn long_call(mut client: Ours, call: u32, server: String) -> Result<u32, Status> {
    let millis = u32::try_from(RUN_FOR.as_millis()).unwrap_or(u32::MAX);
    let mut request = Request::new(Question { call, millis });
    request.call_options().endpoint(server);
    let answer = client.ask(request).await?;
    Ok(answer.into_inner().server)
}

/// All of them, with the setting for that.
async fn all(fleet: &mut Fleet, after: Duration) -> Result<Promise, Failure> {
    let builder = builder(fleet.target()?).health_check(HEALTH);
    let channel = builder.panic_below(1.0).build()?;
    let (client, _) = ours(&declared()?, &channel, NAMED).await?;
    let opening = Instant::now();
    let length = CALM + after;
    let fall_ill = async {
        sleep_until(opening + CALM).await;
        for server in &mut fleet.servers {
            server.says(false).await?;
        }
        Ok::<_, Failure>(())
    };
    let load = workers(&client, WORKERS, opening, length);
    let work = async { tokio::join!(load, fall_ill) };
    let (record, told) = watch("unhealthy: all of them", length, work).await?;
    told?;
    Ok(none_failed(
        "all say NOT_SERVING, panic_below(1.0): 100 % OK",
        &record,
    ))
}

fn none_failed(promised: &str, record: &Record) -> Promise {
    let is_kept = record.failed() == 0 && record.total() > 0;
    Promise::new(NAME, promised, record.failures(), is_kept)
}
