//! The health services of grpc-go and grpc-java, and servers without one.

use std::time::{Duration, UNIX_EPOCH};

use foreign::Failure;
use foreign::promises::Promises;
use grpc_resilience::channel::{Builder, Channel, Connectivity, Health};
use test_protos::EchoRequest;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Request, Status};

use crate::client::{Client, Told, ours};
use crate::language::Language;
use crate::server::{Places, Server, Settings};

/// What the servers with a health service say SERVING of.
const SERVICE: &str = "quis.RaftLeader";

/// A busy machine is late, and a JVM is slow at first.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the last call runs after the server was told to end.
const LAST_CALL: Duration = Duration::from_millis(500);

/// How much later than its last call a server may end, and than the channel's word of it the watch:
/// the servers end what is left, a watch that was not cancelled among it, only after 2 s.
const LATE: Duration = Duration::from_millis(100);

/// How often the channel's state is looked at.
const LOOK: Duration = Duration::from_millis(1);

pub(crate) async fn show(
    language: Language,
    places: &Places,
    promises: &mut Promises,
) -> Result<(), Failure> {
    without(language, places, promises).await?;
    if matches!(language, Language::Go | Language::Java) {
        states(language, places, promises).await?;
        ends(language, places, promises).await?;
    }
    Ok(())
}

async fn start(
    language: Language,
    places: &Places,
    health: Option<&'static str>,
) -> Result<Server, Failure> {
    let settings = Settings {
        health,
        ..Settings::default()
    };
    Server::start(language, places, settings).await
}

fn client(builder: Builder) -> Result<(Client, Channel), Failure> {
    ours(&Told::Nothing.stack()?, builder, &std::sync::Arc::default())
}

fn checked(server: &Server, service: &str) -> Result<(Client, Channel), Failure> {
    client(Channel::builder(server.uri()).health_check(service))
}

/// A call with this in its `x-answer`.
async fn call(client: &Client, answer: &str) -> Result<(), Status> {
    let mut request = Request::new(EchoRequest::default());
    let answer = answer.parse().map_err(|_| Status::internal(answer))?;
    request.metadata_mut().insert("x-answer", answer);
    client.clone().unary(request).await.map(drop)
}

/// What the channel knows of the server's health, once it is this, or what it is after a while.
async fn known(channel: &Channel, expected: Health) -> Option<Health> {
    let found = || {
        let endpoint = channel.snapshot().endpoints.into_iter().next();
        endpoint?.health.map(|it| it.status)
    };
    let waits = async {
        while found() != Some(expected) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = timeout(PATIENCE, waits).await;
    found()
}

/// A server without a health service counts as healthy.
async fn without(
    language: Language,
    places: &Places,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let server = start(language, places, None).await?;
    let (client, channel) = checked(&server, SERVICE)?;
    channel.connected(PATIENCE).await?;
    let health = known(&channel, Health::Unchecked).await;
    let answer = call(&client, "none").await;
    promises.check(
        health == Some(Health::Unchecked) && answer.is_ok(),
        format!("{language}, no health service: {health:?}, a call: {answer:?}"),
    );
    Ok(())
}

/// Calls go to a server while it says SERVING of the service, and no longer.
async fn states(
    language: Language,
    places: &Places,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let server = start(language, places, Some(SERVICE)).await?;
    let (teller, _) = client(Channel::builder(server.uri()))?;
    let (client, channel) = checked(&server, SERVICE)?;
    channel.connected(PATIENCE).await?;
    for (number, expected) in [
        (1, Health::Serving),
        (2, Health::NotServing),
        (0, Health::Unknown),
        (1, Health::Serving),
    ] {
        call(&teller, &format!("health {SERVICE} {number}")).await?;
        let health = known(&channel, expected).await;
        let answer = call(&client, "none").await;
        let says = format!("says {expected} for {SERVICE}");
        let is_right = match &answer {
            Ok(()) => expected.is_healthy(),
            Err(error) => !expected.is_healthy() && error.message().contains(&says),
        };
        promises.check(
            health == Some(expected) && is_right,
            format!("{language}, {expected}: {health:?}, a call: {answer:?}"),
        );
    }
    let (client, channel) = checked(&server, "another")?;
    let health = known(&channel, Health::ServiceUnknown).await;
    let answer = call(&client, "none").await;
    promises.check(
        health == Some(Health::ServiceUnknown) && answer.is_err(),
        format!("{language}, a service that it does not know: {health:?}, a call: {answer:?}"),
    );
    call(&teller, "health another 1").await?;
    let is_ready = channel.connected(PATIENCE).await.is_ok();
    let answer = call(&client, "none").await;
    promises.check(
        is_ready && answer.is_ok() && channel.state() == Connectivity::Ready,
        format!("{language}, a service that it knows later: {answer:?}"),
    );
    Ok(())
}

/// A server that ends gracefully waits for its calls, and not for the watch.
async fn ends(language: Language, places: &Places, promises: &mut Promises) -> Result<(), Failure> {
    let mut server = start(language, places, Some(SERVICE)).await?;
    let (client, channel) = checked(&server, SERVICE)?;
    channel.connected(PATIENCE).await?;
    call(&client, "none").await?;
    let last = async {
        let wait = format!("wait {}", LAST_CALL.as_millis());
        call(&client, &wait).await
    };
    let told = async {
        sleep(LAST_CALL / 5).await;
        server.process().terminate()?;
        let drained = server.process().says("drained");
        Ok::<_, Failure>(tokio::join!(Left::watch(&channel), drained))
    };
    let (answer, told) = tokio::join!(last, told);
    let (left, drained) = told?;
    let ended = server.process().ended(PATIENCE).await;
    let output = server.process().read_output();
    promises.check(
        drained.is_ok() && ended.is_ok() && answer.is_ok(),
        format!("{language}: the last call: {answer:?}, the server: {drained:?}, {ended:?}"),
    );
    let Some(end) = End::read(&output) else {
        promises.check(false, format!("{language} says when it ended:\n{output}"));
        return Ok(());
    };
    end.check(language, &left, promises);
    Ok(())
}

/// When the channel heard that its server ends.
struct Left {
    /// By the machine's clock, which the server reads, too, in microseconds.
    at: Option<u64>,
    /// The longest time in which this program did not look.
    pause: Duration,
}

impl Left {
    async fn watch(channel: &Channel) -> Self {
        let (start, mut looked) = (Instant::now(), Instant::now());
        let mut pause = Duration::ZERO;
        while channel.state() == Connectivity::Ready && start.elapsed() < PATIENCE {
            sleep(LOOK).await;
            pause = pause.max(looked.elapsed());
            looked = Instant::now();
        }
        let at = wall_clock().filter(|_| start.elapsed() < PATIENCE);
        Self { at, pause }
    }
}

/// In microseconds.
#[expect(
    clippy::disallowed_types,
    reason = "two processes of one machine compare their times by it"
)]
fn wall_clock() -> Option<u64> {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.ok()?.as_micros()).ok()
}

/// When what happened at the end of a server, as it says, in microseconds of the machine's clock.
#[derive(Debug)]
struct End {
    told: u64,
    watch_over: Option<u64>,
    answered: u64,
    drained: u64,
    /// The longest time in which the server's process stood still meanwhile.
    pause: Duration,
}

impl End {
    fn read(output: &str) -> Option<Self> {
        let at = |what: &str| {
            let mut times = output.lines().filter_map(|it| it.strip_prefix("at "));
            let (time, _) = times.find_map(|it| it.split_once(' ').filter(|it| it.1 == what))?;
            time.parse::<u64>().ok()
        };
        let pause = |it: &str| it.strip_prefix("longest pause ")?.parse().ok();
        Some(Self {
            told: at("told to end")?,
            watch_over: at("the watch is over"),
            answered: at("answered")?,
            drained: at("drained")?,
            pause: output.lines().find_map(pause).map(Duration::from_micros)?,
        })
    }

    /// Tells a late cancel of the watch, which is ours, from a late end of the server.
    fn check(&self, language: Language, left: &Left, promises: &mut Promises) {
        let since = |from: u64, to: u64| Duration::from_micros(to.saturating_sub(from));
        let left_at = left.at.unwrap_or(self.told);
        let cancelled = self.watch_over.map(|it| since(left_at, it));
        let late = since(self.answered, self.drained);
        let (pause, own) = (self.pause, left.pause);
        println!(
            "  {language}: told to end, the channel heard of it after {:.1?}, and the watch was over \
             {cancelled:.1?} later; the server ended {late:.1?} after its last call; it stood still \
             for {pause:.1?}, we for {own:.1?}",
            since(self.told, left_at)
        );
        promises.check(
            left.at.is_some() && cancelled.is_some_and(|it| it <= LATE + pause + own),
            format!(
                "{language}: the watch is over {cancelled:.1?} after the channel heard that the \
                 server ends; it stood still for {pause:.1?}, we for {own:.1?}"
            ),
        );
        promises.measure(
            late <= LATE + pause,
            format!(
                "{language} ended {late:.1?} after its last call, with a health watch open before, \
                 and stood still for {pause:.1?}"
            ),
        );
    }
}
