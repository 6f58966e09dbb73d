//! Servers that fall silent: a process that is stopped, and a network that drops every answer.

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;
use std::time::Duration;

use foreign::Failure;
use foreign::promises::Promises;
use grpc_resilience::channel::{Channel, DialError, Phase};
use grpc_resilience::classify::{Progress, Reason, TransportError};
use http_body_util::Full;
use rustix::process::Signal;
use tokio::time::{Instant, timeout};
use tonic::body::Body;
use tower::ServiceExt as _;

use crate::language::Language;
use crate::server::{Places, Server, Settings};

/// The shortest that the channel allows.
const QUIET: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(1);

/// A busy machine is late.
const LATE: Duration = Duration::from_secs(2);

/// The client's address. What the server sends there, the network can drop.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// How a server falls silent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Silence {
    /// By SIGSTOP: its kernel still accepts connections, and takes what is sent.
    Stopped,
    /// The network drops all that it sends. Only within a network namespace of the program's own.
    Dropped,
}

impl Silence {
    fn begin(self, trials: &mut [Trial]) -> Result<(), Failure> {
        match self {
            Self::Stopped => signal(trials, Signal::STOP),
            Self::Dropped => rule("add"),
        }
    }

    fn end(self, trials: &mut [Trial]) -> Result<(), Failure> {
        match self {
            Self::Stopped => signal(trials, Signal::CONT),
            Self::Dropped => rule("del"),
        }
    }

    /// What a dial waits for in vain.
    fn phase(self) -> Phase {
        match self {
            Self::Stopped => Phase::Settings,
            Self::Dropped => Phase::Connect,
        }
    }

    /// What ends the connection: its PING without an answer, or the kernel, which knows that
    /// nothing was acknowledged for as long (`TCP_USER_TIMEOUT`).
    fn ends_by(self, reason: Reason) -> bool {
        match self {
            Self::Stopped => reason == Reason::KeepaliveTimeout,
            Self::Dropped => [Reason::KeepaliveTimeout, Reason::ConnectionLost].contains(&reason),
        }
    }
}

fn signal(trials: &mut [Trial], signal: Signal) -> Result<(), Failure> {
    let mut processes = trials.iter_mut().map(|it| it.server.process());
    processes.try_for_each(|it| it.signal(signal))
}

/// Has the kernel drop what is sent to [`CLIENT`], or no longer.
fn rule(what: &str) -> Result<(), Failure> {
    let rule = format!("rule {what} pref 5 to {CLIENT} blackhole");
    let status = Command::new("ip").args(rule.split(' ')).status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`ip {rule}` failed: {status}").into())
    }
}

/// The servers fall silent together, so that the whole takes no longer than one.
pub(crate) async fn show(
    languages: &[Language],
    silence: Silence,
    places: &Places,
    promises: &mut Promises,
) -> Result<(), Failure> {
    let mut trials = Vec::new();
    for &language in languages {
        trials.push(Trial::start(language, silence, places).await?);
    }
    silence.begin(&mut trials)?;
    let calls: Vec<_> = trials.iter().map(|it| tokio::spawn(it.silent())).collect();
    let mut found = Vec::new();
    for call in calls {
        found.push(call.await?);
    }
    silence.end(&mut trials)?;
    for (trial, silent) in trials.iter().zip(&found) {
        trial.check(silent, promises);
        trial.check_recovery(promises).await;
    }
    Ok(())
}

struct Trial {
    name: String,
    silence: Silence,
    server: Server,
    channel: Channel,
}

/// What was found of a silent server.
struct Silent {
    /// A call over the connection that was there.
    call: (Result<(), TransportError>, Duration),
    /// The start of a new channel.
    dial: (Result<(), TransportError>, Duration),
}

fn channel(server: &Server) -> Result<Channel, Failure> {
    let builder = Channel::builder(server.uri())
        .local_address(IpAddr::from(CLIENT))
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(QUIET)
        .keep_alive_timeout(PONG);
    Ok(builder.build()?)
}

async fn call(channel: Channel) -> Result<(), TransportError> {
    let request = http::Request::post("/test.v1.Echo/Unary")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-call-id", "1")
        .body(Body::new(Full::new(bytes::Bytes::from_static(&[0; 5]))));
    match request {
        Ok(request) => channel.oneshot(request).await.map(drop),
        Err(_) => Ok(()),
    }
}

impl Trial {
    async fn start(language: Language, silence: Silence, places: &Places) -> Result<Self, Failure> {
        let server = Server::start(language, places, Settings::default()).await?;
        let channel = channel(&server)?;
        channel.connected(LATE).await?;
        call(channel.clone()).await?;
        Ok(Self {
            name: format!("{language} {silence:?}"),
            silence,
            server,
            channel,
        })
    }

    /// One call, and one dial.
    fn silent(&self) -> impl Future<Output = Silent> + use<> {
        let (old, new) = (self.channel.clone(), channel(&self.server));
        async move {
            let dial = async {
                let start = Instant::now();
                let ended = match new {
                    Ok(new) => call(new).await,
                    Err(_) => Ok(()),
                };
                (ended, start.elapsed())
            };
            let call = async {
                let start = Instant::now();
                (call(old).await, start.elapsed())
            };
            let (call, dial) = tokio::join!(call, dial);
            Silent { call, dial }
        }
    }

    fn check(&self, silent: &Silent, promises: &mut Promises) {
        let (name, (call, took)) = (&self.name, &silent.call);
        println!("{name}: a call ended after {took:?}: {call:?}");
        let error = call.as_ref().err();
        let is_typed = error.is_some_and(|it| {
            it.progress() == Progress::Reached && self.silence.ends_by(it.verdict().reason)
        });
        promises.check(is_typed, format!("{name}: a call ended with {call:?}"));
        let bound = QUIET + PONG;
        promises.check(
            *took <= bound + LATE,
            format!("{name}: a call ended after {took:?}, due was {bound:?}"),
        );
        let (dial, took) = &silent.dial;
        println!("{name}: a dial ended after {took:?}: {dial:?}");
        let phase = dial.as_ref().err().and_then(phase);
        promises.check(
            phase == Some(self.silence.phase()),
            format!("{name}: a dial ended with {dial:?}"),
        );
        promises.check(
            *took <= CONNECT + LATE,
            format!("{name}: a dial ended after {took:?}, due was {CONNECT:?}"),
        );
    }

    /// The channel finds the server again.
    async fn check_recovery(&self, promises: &mut Promises) {
        let again = async {
            self.channel.connected(LATE * 2).await?;
            call(self.channel.clone()).await
        };
        let found = timeout(LATE * 3, again).await;
        let name = &self.name;
        promises.check(
            matches!(found, Ok(Ok(()))),
            format!("{name}: after the silence {found:?}"),
        );
    }
}

/// The phase of the dial that failed.
fn phase(error: &TransportError) -> Option<Phase> {
    let mut link: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = link {
        if let Some(dial) = error.downcast_ref::<DialError>() {
            return dial.is_timeout().then(|| dial.phase());
        }
        link = error.source();
    }
    None
}
