//! What an instance's process does.

use std::env;
use std::io::{Read, Write, stdin, stdout};
use std::net::SocketAddr;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use grpc_resilience::Drain;
use grpc_resilience::consul::{Check, Registration};
use grpc_resilience::drain::Draining;
use grpc_resilience_examples::Failure;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::agent::LIVE;
use crate::proto::greeter_server::{Greeter, GreeterServer};
use crate::proto::{Greeting, Hello};

/// The first argument of an instance's process; its place, agent, service and TTL follow.
const SERVE: &str = "--serve-as-an-instance";
/// How long a call takes.
const WORK: Duration = Duration::from_millis(50);
const BETWEEN_GREETINGS: Duration = Duration::from_millis(100);
/// Longer than clients take to hear of a deregistration.
const NOTICE: Duration = Duration::from_millis(500);
const GRACE: Duration = Duration::from_secs(15);

/// What the parent gives an instance.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) place: u32,
    pub(crate) agent: SocketAddr,
    pub(crate) service: String,
    pub(crate) ttl: Duration,
}

impl Order {
    pub(crate) fn arguments(&self) -> [String; 5] {
        [
            SERVE.into(),
            self.place.to_string(),
            self.agent.to_string(),
            self.service.clone(),
            self.ttl.as_millis().to_string(),
        ]
    }
}

/// Serves until it is drained or the parent ends, if this process was started for that.
pub(crate) fn serve_if_asked() -> Result<bool, Failure> {
    let mut arguments = env::args().skip(1);
    if arguments.next().as_deref() != Some(SERVE) {
        return Ok(false);
    }
    let mut next = || arguments.next().ok_or("an argument is missing");
    let order = Order {
        place: next()?.parse()?,
        agent: next()?.parse()?,
        service: next()?,
        ttl: Duration::from_millis(next()?.parse()?),
    };
    thread::spawn(|| {
        // The parent holds the other end, and says nothing.
        let _ = stdin().read(&mut [0]);
        exit(0);
    });
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(&order))?;
    Ok(true)
}

async fn serve(order: &Order) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    say("listens", address)?;
    let colour = if order.place < 3 { "blue" } else { "green" };
    let registration = Registration::new(&order.service, address)
        .tag(LIVE)
        .tag(colour)
        .check(Check::ttl(order.ttl))
        .agent(order.agent.to_string());
    let registered = registration.register().await?;
    say("passes", micros())?;
    let drain = Drain::builder()
        .on_start(async move || {
            registered.deregister().await?;
            say("left", micros())
        })
        .notice(NOTICE)
        .grace(GRACE)
        .build()?;
    drain.start_on_sigterm()?;
    let counts = Arc::<Counts>::default();
    let greeter = One {
        place: order.place,
        counts: Arc::clone(&counts),
        draining: drain.draining(),
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder()
        .add_service(GreeterServer::new(greeter))
        .serve_with_incoming_shutdown(drain.incoming(incoming), drain.goaway());
    drain.run(server).await??;
    say("started", counts.started.load(SeqCst))?;
    say("finished", counts.finished.load(SeqCst))?;
    say("first", counts.first.load(SeqCst))?;
    say("last", counts.last.load(SeqCst))
}

/// A line for the parent.
fn say(what: &str, value: impl std::fmt::Display) -> Result<(), Failure> {
    writeln!(stdout(), "{what} {value}")?;
    Ok(())
}

/// Microseconds on a clock that all processes share.
#[allow(
    clippy::disallowed_types,
    reason = "an instant of tokio's means nothing in another process"
)]
fn micros() -> u64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    u64::try_from(micros).unwrap_or(u64::MAX)
}

/// Of the calls; a stream is one.
#[derive(Debug, Default)]
struct Counts {
    started: AtomicU64,
    finished: AtomicU64,
    /// When the first and the last call started, in microseconds; 0: there was none.
    first: AtomicU64,
    last: AtomicU64,
}

impl Counts {
    fn start(&self) {
        let now = micros();
        self.started.fetch_add(1, SeqCst);
        let _ = self.first.compare_exchange(0, now, SeqCst, SeqCst);
        self.last.fetch_max(now, SeqCst);
    }

    fn finish(&self) {
        self.finished.fetch_add(1, SeqCst);
    }
}

struct One {
    place: u32,
    counts: Arc<Counts>,
    draining: Draining,
}

#[tonic::async_trait]
impl Greeter for One {
    type FollowStream = ReceiverStream<Result<Greeting, Status>>;

    async fn greet(&self, _: Request<Hello>) -> Result<Response<Greeting>, Status> {
        self.counts.start();
        sleep(WORK).await;
        self.counts.finish();
        let instance = self.place;
        Ok(Response::new(Greeting { instance }))
    }

    async fn follow(&self, _: Request<Hello>) -> Result<Response<Self::FollowStream>, Status> {
        self.counts.start();
        let (greetings, receiver) = mpsc::channel(4);
        let (counts, draining) = (Arc::clone(&self.counts), self.draining.clone());
        tokio::spawn(greet_on(self.place, greetings, counts, draining));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Greets until the instance drains, and then ends the stream as one that is over.
async fn greet_on(
    instance: u32,
    greetings: mpsc::Sender<Result<Greeting, Status>>,
    counts: Arc<Counts>,
    mut draining: Draining,
) {
    let mut ticks = interval(BETWEEN_GREETINGS);
    loop {
        tokio::select! {
            _ = ticks.tick() => if greetings.send(Ok(Greeting { instance })).await.is_err() {
                // Its client has left, so this call is over, too.
                break;
            },
            () = &mut draining => break,
        }
    }
    counts.finish();
}
