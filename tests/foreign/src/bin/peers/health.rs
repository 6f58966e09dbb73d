//! The health services of grpc-go and grpc-java, and servers without one.

use std::time::Duration;

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

/// How much later than its last call a server may end: the servers end what is left, a watch that
/// was not cancelled among it, only after 2 s.
const LATE: Duration = Duration::from_millis(100);

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
    let last = tokio::spawn(async move {
        let answer = call(&client, &format!("wait {}", LAST_CALL.as_millis())).await;
        (answer, Instant::now())
    });
    sleep(LAST_CALL / 5).await;
    server.process().terminate()?;
    let drained = server.process().says("drained").await;
    let end = Instant::now();
    let ended = server.process().ended(PATIENCE).await;
    let (answer, answered) = last.await?;
    let late = end.saturating_duration_since(answered);
    println!("  {language} ended {late:?} after its last call");
    promises.check(
        drained.is_ok() && ended.is_ok() && answer.is_ok(),
        format!("{language}: the last call: {answer:?}, the server: {drained:?}, {ended:?}"),
    );
    promises.measure(
        late <= LATE,
        format!("{language} ended {late:?} after its last call, with a health watch open"),
    );
    Ok(())
}
