use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::grpc::Code;
use crate::kernel::sync::Mutex;

use super::record::Record;
use super::{FailedAttempt, GiveUp, Phase};

/// A live view of a call.
///
/// While the call is under way it shows the progress so far; once the call is over it does not
/// change. Its `Display` is one line for a log.
#[derive(Clone)]
pub struct CallReport(Arc<Mutex<Record>>);

impl CallReport {
    pub(super) fn new(record: Arc<Mutex<Record>>) -> Self {
        Self(record)
    }

    /// How many attempts were begun, without transparent retries; 0 without a retry layer that acts
    /// on the call. An attempt that only waited for the channel counts.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.lock().attempts
    }

    /// How often a request that certainly did not run was sent again (CONTRACT X).
    #[must_use]
    pub fn transparent_retries(&self) -> u32 {
        self.0.lock().transparent
    }

    /// How often the call waited: between attempts, or for the channel. A wait for the channel
    /// counts once for any number of dials.
    #[must_use]
    pub fn waits(&self) -> u32 {
        self.0.lock().waits
    }

    /// The attempts that failed, oldest first; the last 16 of them, if there were more.
    #[must_use]
    pub fn failed_attempts(&self) -> Vec<FailedAttempt> {
        self.0.lock().failed()
    }

    /// The current phase of the call.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.lock().phase()
    }

    /// The total time that the call spent in this phase.
    #[must_use]
    pub fn time_in(&self, phase: Phase) -> Duration {
        self.0.lock().time_in(phase, Instant::now())
    }

    /// The duration of the call so far; once it is over (the response read or dropped), its whole
    /// duration.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.lock().elapsed(Instant::now())
    }

    /// The code that the call ended with; `None` while it is under way. A dropped call is
    /// CANCELLED.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.0.lock().ended().map(|(code, _)| code)
    }

    /// Why a failed call was not tried again, if a layer decided it; `None` until the call is over.
    #[must_use]
    pub fn give_up(&self) -> Option<GiveUp> {
        self.0.lock().ended().and_then(|(_, give_up)| give_up)
    }

    /// The last error of the call, except the one it ended with.
    #[must_use]
    pub fn last_failure(&self) -> Option<Arc<dyn std::error::Error + Send + Sync>> {
        self.0.lock().last_failure()
    }
}

impl fmt::Display for CallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Works on a copy, so that a slow writer does not hold the lock.
        let record = self.0.lock().clone();
        let now = Instant::now();
        match record.ended() {
            Some((code, None)) => write!(f, "{code}")?,
            Some((code, Some(reason))) => write!(f, "{code}, {}", reason.name())?,
            None => write!(f, "{}", record.phase())?,
        }
        write!(
            f,
            ", {:.1?} in all; attempts: {}, transparent retries: {}, waits: {}",
            record.elapsed(now),
            record.attempts,
            record.transparent,
            record.waits
        )?;
        for phase in Phase::ALL {
            let time = record.time_in(phase, now);
            if phase != Phase::Over && !time.is_zero() {
                write!(f, "; {} {time:.1?}", phase.done())?;
            }
        }
        for failed in record.failed() {
            write!(f, "; {failed}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallReport({self})")
    }
}
