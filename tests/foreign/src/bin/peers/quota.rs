//! Clients of other languages under a server's quota.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use foreign::Failure;
use foreign::echo::{self, Begun};
use foreign::load::CallId;
use foreign::process::Process;
use foreign::promises::Promises;
use grpc_resilience::rate_limit::{Quota, RateLimitSnapshot, ServerRateLimitLayer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataMap;
use tower::ServiceBuilder;

use crate::language::{Language, Program};
use crate::server::Places;

const CALLS: u32 = 100;
/// How often a client makes as many without a quota before, by which it connects and is warm.
const WARM_UP: u32 = 10;
const PER_SECOND: u32 = 100;
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes a hundred calls at once to a server that lets through a hundred a second, by a client with
/// a stock retry policy; and the same with a burst of one.
pub(crate) async fn show(
    language: Language,
    places: &Places,
    promises: &mut Promises,
) -> Result<(), Failure> {
    for burst in [10, 1] {
        let trial = Trial::run(language, places, burst).await?;
        let name = format!("{language}, burst {burst}");
        println!("{name}: {trial}");
        trial.check(&name, promises);
    }
    Ok(())
}

/// What the client and the server saw.
#[derive(Debug)]
struct Trial {
    burst: u32,
    /// The codes that the client's calls ended with.
    codes: BTreeMap<u32, u32>,
    /// How often each call came to the server.
    attempts: BTreeMap<CallId, u32>,
    /// From the first call that came until the last one came for the first time.
    spread: Duration,
    /// From the first call that came until the last was let through.
    took: Duration,
    server: RateLimitSnapshot,
}

impl Trial {
    async fn run(language: Language, places: &Places, burst: u32) -> Result<Self, Failure> {
        let quota = Quota::per_second(PER_SECOND)?.burst(burst)?;
        let limit = ServerRateLimitLayer::unlimited().method("/test.v1.Echo/Unary", quota)?;
        let (came, begun, port) = serve(limit.clone()).await?;
        let output = call(language, places, port).await?;

        let came = limited(&came);
        let begun = limited(&begun);
        let (first, last) = came.first().zip(begun.last()).ok_or("no call came")?;
        let (mut attempts, mut spread) = (BTreeMap::new(), Duration::ZERO);
        for (id, at) in &came {
            let count = attempts.entry(*id).or_insert(0);
            if *count == 0 {
                spread = *at - first.1;
            }
            *count += 1;
        }
        Ok(Self {
            burst,
            codes: codes(&output)?,
            attempts,
            spread,
            took: last.1 - first.1,
            server: limit.snapshot(),
        })
    }

    /// The time that the quota allows for all of them.
    fn allowed(&self) -> Duration {
        (Duration::from_secs(1) / PER_SECOND) * (CALLS - self.burst)
    }

    fn check(&self, name: &str, promises: &mut Promises) {
        let succeeded = self.codes.get(&0).copied().unwrap_or(0);
        promises.check(
            succeeded == CALLS,
            format!(
                "{name}: {succeeded} of {CALLS} calls succeeded: {:?}",
                self.codes
            ),
        );
        // Those that come a period after the first may find a cell.
        let soon = self.spread.as_millis() / u128::from(1_000 / PER_SECOND);
        let fewest = u128::from(CALLS - self.burst).saturating_sub(soon);
        let most = self.attempts.values().max().copied().unwrap_or(0);
        let refused = self.server.refused;
        promises.check(
            most == 2 && u128::from(refused) >= fewest && refused < u64::from(CALLS),
            format!(
                "{name}: {refused} refusals, {fewest} at least; {most} attempts of a call at most"
            ),
        );
        let RateLimitSnapshot {
            promised,
            kept,
            lapsed,
            ..
        } = self.server;
        promises.check(
            lapsed == 0 && kept == promised,
            format!("{name}: of {promised} promises {kept} were kept and {lapsed} lapsed"),
        );
        let (took, allowed) = (self.took, self.allowed());
        promises.check(
            took >= allowed,
            format!("{name}: all were let through after {took:?}, allowed are {allowed:?}"),
        );
        promises.measure(
            took <= allowed.mul_f64(1.1),
            format!("{name}: all were let through after {took:?}, over {allowed:?} by a tenth"),
        );
    }
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { codes, server, .. } = self;
        let [spread, took, allowed] =
            [self.spread, self.took, self.allowed()].map(|it| it.as_millis());
        write!(f, "codes {codes:?}, came within {spread} ms, ")?;
        write!(f, "the last after {took} ms of {allowed}; {server:?}")
    }
}

/// A server under the limit; what came to it, and what it let through.
async fn serve(limit: ServerRateLimitLayer) -> Result<(Begun, Begun, u16), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let (service, begun) = echo::service();
    let came = Begun::default();
    let noting = came.clone();
    let note = move |request: http::Request<_>| {
        let metadata = MetadataMap::from_headers(request.headers().clone());
        if let Some(id) = CallId::of(&metadata) {
            noting.note(id);
        }
        request
    };
    let layers = ServiceBuilder::new().map_request(note).layer(limit);
    let serving = tonic::transport::Server::builder()
        .layer(layers)
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            eprintln!("the server under a quota failed: {error}");
        }
    });
    Ok((came, begun, port))
}

/// The output of a client that makes the calls.
async fn call(language: Language, places: &Places, port: u16) -> Result<String, Failure> {
    let folder = tempfile::tempdir()?;
    let mut command = places.command(language, Program::Client);
    for (option, value) in [
        ("--port", port.to_string()),
        ("--warm-up", WARM_UP.to_string()),
        ("--calls", CALLS.to_string()),
    ] {
        command.arg(option).arg(value);
    }
    let name = format!("{language} client");
    let mut process = Process::start(&name, &mut command, folder.path())?;
    let ended = process.ended(PATIENCE).await?;
    let output = process.read_output();
    if ended.success() {
        Ok(output)
    } else {
        Err(format!("the {name} ended: {ended}\n{output}").into())
    }
}

/// The calls under the quota; those before have other ids.
fn limited(begun: &Begun) -> Vec<(CallId, tokio::time::Instant)> {
    let calls = begun.calls().into_iter();
    calls.filter(|(id, _)| id.0 <= u64::from(CALLS)).collect()
}

/// A client prints a line for each call, with its code's number.
pub(crate) fn codes(output: &str) -> Result<BTreeMap<u32, u32>, Failure> {
    let mut codes = BTreeMap::new();
    for line in output.lines() {
        if let Some(code) = line.strip_prefix("ended with ") {
            *codes.entry(code.trim().parse()?).or_insert(0) += 1;
        }
    }
    Ok(codes)
}
