//! How the callers wait.

use std::time::Duration;

use grpc_resilience::backoff::{Backoff, Exponential, InvalidBackoff, Jitter, Retry};
use grpc_resilience::{Resilience, Resilient, WaitForReadyLayer};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::Failure;
use crate::clients::Caller;
use crate::proto::Question;
use crate::proto::storm_client::StormClient;

/// Calls a second that are released.
pub(super) const RATE: u32 = 1_000;
const DEADLINE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callers {
    /// Released one after the other.
    Spread,
    /// Released together.
    AtOnce,
    /// Each asks again and again by itself.
    Loop,
}

impl Callers {
    pub(super) const ALL: [Self; 3] = [Self::Spread, Self::AtOnce, Self::Loop];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Spread => "release_rate(1000)",
            Self::AtOnce => "release_at_once()",
            Self::Loop => "bare channel in a loop",
        }
    }

    /// Lets calls wait as these do.
    pub(super) fn waiting(self, channel: Channel) -> Result<Resilient<Channel>, Failure> {
        let layer = WaitForReadyLayer::new().backoff(curve()?);
        let layer = if self == Self::AtOnce {
            layer.release_at_once()
        } else {
            layer.release_rate(RATE)?
        };
        let stack = Resilience::new()
            .default_timeout(DEADLINE)
            .wait_for_ready(layer);
        Ok(stack.wrap(channel))
    }
}

pub(super) fn stub(channel: Resilient<Channel>) -> impl Caller {
    StormClient::new(channel)
}

pub(super) fn looping(channel: Channel) -> impl Caller {
    Looping {
        client: StormClient::new(channel),
    }
}

/// How many dials the schedule has before this, counted from the first.
pub(super) fn dials_due(before: Duration) -> Result<u32, InvalidBackoff> {
    let curve = curve()?;
    let (mut dials, mut at) = (0, Duration::ZERO);
    while at < before {
        dials += 1;
        at += curve.delay(&Retry::new(dials, Duration::ZERO, 0.0));
    }
    Ok(dials)
}

/// Without jitter, so that it is known how many dials there may be.
fn curve() -> Result<Exponential, InvalidBackoff> {
    let curve = Exponential::new(PAUSE)?.max(Duration::from_secs(1))?;
    Ok(curve.jitter(Jitter::None))
}

/// What a user writes who has nothing else.
struct Looping {
    client: StormClient<Channel>,
}

impl Caller for Looping {
    fn make(&self, call: u32) -> impl Future<Output = Result<(), Status>> + Send + 'static {
        let mut client = self.client.clone();
        let calling = async move {
            loop {
                match client.ask(Question { call }).await {
                    Err(status) if status.code() == Code::Unavailable => sleep(PAUSE).await,
                    outcome => return outcome.map(drop),
                }
            }
        };
        async move {
            let given_up = |_| Status::deadline_exceeded("no server");
            timeout(DEADLINE, calling).await.map_err(given_up)?
        }
    }
}
