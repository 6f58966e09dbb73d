//! Keys over five servers, and over six.

use std::collections::BTreeMap;
use std::time::Duration;

use grpc_resilience::CallOptionsExt;
use grpc_resilience::channel::Channel;
use grpc_resilience::channel::pick::Shard;
use grpc_resilience_examples::Failure;
use grpc_resilience_examples::fleet::proto::{Answer, Question};
use grpc_resilience_examples::fleet::{
    self, Caller, Nature, Ours, connected_to, declared, each, ours,
};
use grpc_resilience_examples::show::bar::watch;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::series::ratio;
use tonic::{Request, Status};

use crate::clients::addresses;
use crate::told::Told;

const NAME: &str = "shard";
const KEYS: u32 = 20_000;
const SERVERS: u32 = 5;
const WORKERS: u32 = 32;
/// About how long a round takes, for the bar.
const ROUND: Duration = Duration::from_secs(2);

const MOST_OF_MEAN: f64 = 1.10;
const MOST_MOVED: f64 = 19.0;

/// Runs it, and prints what it saw.
pub(crate) async fn run() -> Result<Vec<Promise>, Failure> {
    let servers = fleet::start(SERVERS + 1, Nature::default()).await?;
    let all = addresses(&servers)?;
    let five = SERVERS as usize;
    let (teller, told) = Told::new();
    teller.are(all.iter().copied().take(five));
    let channel = Channel::builder("dns:///fleet:80")
        .resolver(told)
        .picker(Shard::new())
        .build()?;
    let (client, _) = ours(&declared()?, &channel, five).await?;
    let client = ByKey(client);
    let before = watch("shard: five servers", ROUND, each(&client, WORKERS, KEYS)).await?;
    teller.are(all);
    connected_to(&channel, servers.len()).await?;
    let after = watch("shard: six servers", ROUND, each(&client, WORKERS, KEYS)).await?;
    let owners = |record: &fleet::Record| -> BTreeMap<u32, Option<u32>> {
        let calls = record.calls().iter();
        calls.map(|call| (call.number, call.server)).collect()
    };
    let (old, new) = (owners(&before), owners(&after));
    let keys_of = |server| before.count(|call| call.server == Some(server));
    let counts: Vec<_> = (0..SERVERS).map(keys_of).collect();
    println!("\nshard: keys of each of the five servers: {counts:?}");
    let most = counts.iter().copied().max().unwrap_or_default();
    let changed = |key: &&u32| old.get(key) != new.get(key);
    let moved: Vec<_> = new.keys().filter(changed).collect();
    let astray = |key: &&&u32| new.get(key) != Some(&Some(SERVERS));
    let astray = moved.iter().filter(astray).count();
    let moved = 100.0 * ratio(u32::try_from(moved.len())?, KEYS);
    let most = ratio(most * SERVERS, KEYS);
    let failed = before.failed() + after.failed();
    Ok(vec![
        Promise::new(
            NAME,
            "20,000 keys over five servers: the fullest has at most 1.10 x the mean",
            format!("{most:.3} x, {failed} failed"),
            most <= MOST_OF_MEAN && failed == 0,
        ),
        Promise::new(
            NAME,
            "a sixth server takes at most 19 % of the keys, and no key moves elsewhere",
            format!("{moved:.1} %, {astray} moved elsewhere"),
            moved <= MOST_MOVED && moved > 0.0 && astray == 0,
        ),
    ])
}

/// The number of a call is its key.
#[derive(Clone)]
struct ByKey(Ours);

impl Caller for ByKey {
    fn make(&self, call: u32) -> impl Future<Output = Result<Answer, Status>> + Send + 'static {
        let mut client = self.0.clone();
        async move {
            let mut request = Request::new(Question { call, millis: 0 });
            request.call_options().shard_key(format!("customer-{call}"));
            client.ask(request).await.map(tonic::Response::into_inner)
        }
    }
}
