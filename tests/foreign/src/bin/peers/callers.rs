//! Clients that call on while a server drains.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use foreign::Failure;
use foreign::process::Process;
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::channel::Channel;
use grpc_resilience::{Resilience, Resilient};
use test_protos::{EchoClient, EchoRequest};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::{Request, Status};

use crate::language::{Language, Program};
use crate::quota::codes;
use crate::server::Places;

const PATIENCE: Duration = Duration::from_secs(60);
/// How many streams our client has open besides its calls.
const STREAMS: u32 = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A stock client, without a retry policy.
    Language(Language),
    /// Our channel under `Resilience`, with no method declared.
    Ours,
}

type Client = EchoClient<Resilient<Channel>>;

/// How many calls ended with each code.
#[derive(Debug, Default)]
pub(crate) struct Calls(BTreeMap<u32, u32>);

impl Calls {
    pub(crate) fn failed(&self) -> u32 {
        let failed = self.0.iter().filter(|(code, _)| **code != 0);
        failed.map(|(_, count)| count).sum()
    }
}

impl Caller {
    /// Whether it was seen to get no processor for seconds on a busy machine, as it starts.
    pub(crate) fn may_lack_a_processor(self) -> bool {
        self == Self::Language(Language::Node)
    }

    /// This many calls at a time, for this long.
    pub(crate) async fn call(
        self,
        places: Places,
        port: u16,
        workers: u32,
        time: Duration,
    ) -> Result<Calls, Failure> {
        match self {
            Self::Language(language) => theirs(language, &places, port, workers, time).await,
            Self::Ours => ours(port, workers, time).await,
        }
    }
}

async fn theirs(
    language: Language,
    places: &Places,
    port: u16,
    workers: u32,
    time: Duration,
) -> Result<Calls, Failure> {
    let folder = tempfile::tempdir()?;
    let mut command = places.command(language, Program::Client);
    for (option, value) in [
        ("--port", port.to_string()),
        ("--calls", workers.to_string()),
        ("--millis", time.as_millis().to_string()),
    ] {
        command.arg(option).arg(value);
    }
    let name = format!("{language} client");
    let mut process = Process::start(&name, &mut command, folder.path())?;
    let ended = process.ended(PATIENCE).await?;
    let output = process.read_output();
    if !ended.success() {
        return Err(format!("the {name} ended: {ended}\n{output}").into());
    }
    Ok(Calls(codes(&output)?))
}

async fn ours(port: u16, workers: u32, time: Duration) -> Result<Calls, Failure> {
    let channel = Channel::builder(format!("ipv4:127.0.0.1:{port}")).build()?;
    let stack = Resilience::new().default_timeout(Duration::from_secs(5));
    let client = EchoClient::new(stack.wrap(channel));
    let until = Instant::now() + time;
    let mut callers = JoinSet::new();
    for caller in 0..workers + STREAMS {
        let mut client = client.clone();
        callers.spawn(async move {
            let mut codes = Vec::new();
            while Instant::now() < until {
                let ended = if caller < workers {
                    client.unary(EchoRequest::default()).await.map(|_| ())
                } else {
                    stream(&mut client, until).await
                };
                codes.push(ended.map_or_else(|it| it.code() as u32, |()| 0));
                if codes.last() != Some(&0) {
                    sleep(Duration::from_millis(50)).await;
                }
            }
            codes
        });
    }
    let mut calls = Calls::default();
    for code in callers.join_all().await.into_iter().flatten() {
        *calls.0.entry(code).or_insert(0) += 1;
    }
    Ok(calls)
}

/// A stream until its server drains, or the time is over.
async fn stream(client: &mut Client, until: Instant) -> Result<(), Status> {
    let mut request = Request::new(EchoRequest::default());
    request.call_options().no_timeout();
    let mut messages = client.server_stream(request).await?.into_inner();
    loop {
        tokio::select! {
            message = messages.message() => if message?.is_none() {
                return Ok(());
            },
            () = sleep_until(until) => return Ok(()),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Language(language) => write!(f, "{language} client"),
            Self::Ours => f.write_str("our client"),
        }
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls: u32 = self.0.values().sum();
        write!(
            f,
            "{calls} calls, {} failed: codes {:?}",
            self.failed(),
            self.0
        )
    }
}
