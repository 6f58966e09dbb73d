use std::time::Duration;

use tokio::time::Instant;

use crate::classify::ConnectFault;
use crate::error::Error;
use crate::events;

use super::channel::Channel;

/// Decides which state changes of a channel are logged: down (once an outage), the fault if waiting
/// rarely cures it, and ready again.
#[derive(Debug, Default)]
pub(crate) struct Log {
    down_since: Option<Instant>,
    fault: Option<ConnectFault>,
    is_shut_down: bool,
}

/// An event to be logged outside the lock.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Nothing,
    Down,
    Fault(ConnectFault),
}

impl Log {
    /// A dial failed with this error, or a connection was lost.
    pub(crate) fn failed(&mut self, channel: &Channel, error: &Error, now: Instant) -> Line {
        if !channel.is_failing() {
            return Line::Nothing;
        }
        let is_new = self.down_since.is_none();
        self.down_since.get_or_insert(now);
        match error.connect_fault() {
            Some(fault) if self.fault.replace(fault) != Some(fault) => Line::Fault(fault),
            _ if is_new => Line::Down,
            _ => Line::Nothing,
        }
    }

    /// The channel takes no more calls; true the first time.
    pub(crate) fn shut_down(&mut self) -> bool {
        !std::mem::replace(&mut self.is_shut_down, true)
    }

    /// A call was answered; how long the channel was down, if that was logged.
    pub(crate) fn answered(&mut self, now: Instant) -> Option<Duration> {
        self.fault = None;
        self.is_shut_down = false;
        let since = self.down_since.take()?;
        Some(now.saturating_duration_since(since))
    }
}

impl Line {
    pub(crate) fn write(self, error: &Error, wait: Duration) {
        match self {
            Self::Nothing => {}
            Self::Down => events::channel_is_down(error.event(), None, wait),
            Self::Fault(fault) => events::channel_is_down(error.event(), Some(fault.name()), wait),
        }
    }
}

#[cfg(all(test, not(grpc_resilience_loom)))]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;

    fn lines(log: &mut Log, channel: &Channel, errors: &[&str]) -> Vec<Line> {
        let line = |text: &&str| {
            let cause = tonic::ConnectError(io::Error::other(*text).into());
            log.failed(channel, &Error::from_inner(cause), Instant::now())
        };
        errors.iter().map(line).collect()
    }

    #[test]
    fn an_outage_is_logged_once_and_a_fault_again_when_it_changes() {
        let mut channel = Channel::default();
        let mut log = Log::default();
        assert_eq!(lines(&mut log, &channel, &["refused"]), [Line::Nothing]);
        let mut error = Arc::new(crate::ready::failure::overdue());
        channel.give_up_test(&mut error, Duration::ZERO, Instant::now());
        let (name, issuer) = ("certificate not valid for name", "UnknownIssuer");
        let texts = ["refused", "refused", name, name, "refused", name, issuer];
        let expected = [
            Line::Down,
            Line::Nothing,
            Line::Fault(ConnectFault::WrongName),
            Line::Nothing,
            Line::Nothing,
            Line::Nothing,
            Line::Fault(ConnectFault::UntrustedCertificate),
        ];
        assert_eq!(lines(&mut log, &channel, &texts), expected);
        assert!(log.answered(Instant::now()).is_some());
        assert!(log.answered(Instant::now()).is_none());
    }
}
