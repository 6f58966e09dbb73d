//! When a connection sends a PING (CONTRACT C11): pure decisions.

use std::time::Duration;

use tokio::time::Instant;

use super::silence::Silence;

/// The settings of the keepalive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keepalive {
    /// How long nothing is read before the first PING.
    pub(crate) time: Duration,
    /// How long the answer may take.
    pub(crate) timeout: Duration,
    /// Also while no call is open.
    pub(crate) while_idle: bool,
}

/// The time between two PINGs while nothing else arrives: grpc-go's servers count a PING sooner
/// than this as a strike, and close the connection at the third.
const BETWEEN: Duration = Duration::from_secs(300);

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until a call is opened.
    Rest,
    /// Look again then.
    Wait(Instant),
    Ping,
    /// The peer is silent.
    Close,
}

/// What a connection has heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// When the last byte was read.
    pub(super) byte: Instant,
    /// When the last frame other than a PONG was read.
    pub(super) news: Instant,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Pinger {
    settings: Keepalive,
    /// Since when a call is open.
    active_since: Option<Instant>,
    /// When the last PING was sent.
    sent: Option<Instant>,
    is_answered: bool,
    silence: Silence,
}

impl Pinger {
    pub(super) fn new(settings: Keepalive, now: Instant) -> Self {
        Self {
            settings,
            active_since: settings.while_idle.then_some(now),
            sent: None,
            is_answered: true,
            silence: Silence::default(),
        }
    }

    /// The PING was answered.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
    }

    pub(super) fn silence(&mut self) -> &mut Silence {
        &mut self.silence
    }

    /// An attempt that began then timed out; whether the peer has to answer a PING before it gets
    /// another call (CONTRACT C22).
    ///
    /// A peer that has answered one and said nothing since is alive, and slow. It can't be asked
    /// again so soon, since servers count PINGs.
    pub(super) fn timed_out(&mut self, began: Instant, now: Instant, heard: Heard) -> bool {
        let is_silent = self.silence.timed_out(began, now, heard.byte);
        let is_asked = self.sent.is_some() && !self.is_answered;
        is_silent && (is_asked || self.not_before(heard).is_none_or(|it| it <= now))
    }

    /// The peer is asked at `now`, whatever is due; whether a PING has to be sent for it.
    pub(super) fn ask(&mut self, now: Instant) -> bool {
        if self.sent.is_some() && !self.is_answered {
            return false;
        }
        self.sent = Some(now);
        self.is_answered = false;
        true
    }

    /// Before this no PING follows on the last one, unless there is news.
    fn not_before(&self, heard: Heard) -> Option<Instant> {
        let sent = self.sent.filter(|sent| heard.news <= *sent)?;
        Some(sent + self.settings.time.max(BETWEEN))
    }

    /// What to do at `now`; [`Step::Ping`] counts as done.
    pub(super) fn step(&mut self, now: Instant, heard: Heard, has_calls: bool) -> Step {
        let Keepalive {
            time,
            timeout,
            while_idle,
        } = self.settings;
        if let (Some(sent), false) = (self.sent, self.is_answered) {
            // A peer that sends data is alive, even if its PONG waits behind them.
            let end = sent.max(heard.byte) + timeout;
            return if end <= now {
                Step::Close
            } else {
                Step::Wait(end)
            };
        }
        if !has_calls && !while_idle {
            self.active_since = None;
            return Step::Rest;
        }
        let active_since = *self.active_since.get_or_insert(now);
        let usual = heard.byte.max(active_since) + time;
        let due = self.not_before(heard).unwrap_or(usual);
        if due > now {
            return Step::Wait(due);
        }
        self.ask(now);
        Step::Ping
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const SETTINGS: Keepalive = Keepalive {
        time: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        while_idle: false,
    };

    fn both(at: Instant) -> Heard {
        Heard { byte: at, news: at }
    }

    // CONTRACT C11
    #[tokio::test(start_paused = true)]
    async fn a_ping_is_due_30_s_after_the_last_byte_and_then_every_5_minutes() {
        let start = Instant::now();
        let mut pinger = Pinger::new(SETTINGS, start);
        let mut heard = both(start + 7 * S);
        let step = pinger.step(start + 8 * S, heard, true);
        assert_eq!(
            step,
            Step::Wait(start + 38 * S),
            "30 s after the call began"
        );
        heard = both(start + 20 * S);
        let step = pinger.step(start + 38 * S, heard, true);
        assert_eq!(step, Step::Wait(start + 50 * S), "data puts it off");
        assert_eq!(pinger.step(start + 50 * S, heard, true), Step::Ping);
        pinger.answered();
        heard.byte = start + 51 * S;
        let step = pinger.step(start + 51 * S, heard, true);
        assert_eq!(step, Step::Wait(start + 350 * S), "only PONGs arrive");
        let at_the_ping = Heard {
            news: start + 50 * S,
            ..heard
        };
        let step = pinger.step(start + 51 * S, at_the_ping, true);
        assert_eq!(step, Step::Wait(start + 350 * S), "and nothing after it");
        assert_eq!(pinger.step(start + 350 * S, heard, true), Step::Ping);
        pinger.answered();
        heard = both(start + 352 * S);
        let step = pinger.step(start + 353 * S, heard, true);
        assert_eq!(step, Step::Wait(start + 382 * S), "something else arrived");
    }

    // CONTRACT C11
    #[tokio::test(start_paused = true)]
    async fn an_unanswered_ping_ends_the_connection_after_the_timeout() {
        let start = Instant::now();
        let mut pinger = Pinger::new(SETTINGS, start);
        assert_eq!(
            pinger.step(start, both(start), true),
            Step::Wait(start + 30 * S)
        );
        assert_eq!(pinger.step(start + 30 * S, both(start), true), Step::Ping);
        let waits = pinger.step(start + 31 * S, both(start), false);
        assert_eq!(waits, Step::Wait(start + 40 * S), "the call is over");
        let busy = both(start + 35 * S);
        assert_eq!(
            pinger.step(start + 40 * S, busy, true),
            Step::Wait(start + 45 * S)
        );
        assert_eq!(pinger.step(start + 45 * S, busy, true), Step::Close);
    }

    // CONTRACT C11
    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_rests_unless_told_otherwise() {
        let start = Instant::now();
        let mut pinger = Pinger::new(SETTINGS, start);
        let late = start + 1_000 * S;
        assert_eq!(pinger.step(late, both(start), false), Step::Rest);
        let step = pinger.step(late, both(start), true);
        assert_eq!(step, Step::Wait(late + 30 * S), "no PING with each call");
        assert_eq!(pinger.step(late + S, both(start), false), Step::Rest);
        let step = pinger.step(late + 2 * S, both(start), true);
        assert_eq!(step, Step::Wait(late + 32 * S));

        let while_idle = Keepalive {
            while_idle: true,
            ..SETTINGS
        };
        let mut pinger = Pinger::new(while_idle, start);
        assert_eq!(pinger.step(start + 30 * S, both(start), false), Step::Ping);
    }

    // CONTRACT C11
    #[tokio::test(start_paused = true)]
    async fn a_longer_time_than_5_minutes_is_kept_between_pings() {
        let start = Instant::now();
        let time = 1_000 * S;
        let mut pinger = Pinger::new(Keepalive { time, ..SETTINGS }, start);
        pinger.step(start, both(start), true);
        assert_eq!(pinger.step(start + time, both(start), true), Step::Ping);
        pinger.answered();
        let step = pinger.step(start + time + S, both(start), true);
        assert_eq!(step, Step::Wait(start + 2 * time));
    }

    // CONTRACT C22, C6
    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_asked_at_once_and_not_again_for_5_minutes_without_news() {
        let start = Instant::now();
        let mut pinger = Pinger::new(SETTINGS, start);
        let heard = both(start);
        let times_out = |pinger: &mut Pinger, heard, second| {
            let at = start + second * S;
            pinger.timed_out(at - S, at, heard)
        };
        assert!(!times_out(&mut pinger, heard, 1));
        assert!(times_out(&mut pinger, heard, 2));
        assert!(pinger.ask(start + 2 * S));
        assert!(times_out(&mut pinger, heard, 3), "it is not answered");
        assert!(!pinger.ask(start + 3 * S), "and is under way");
        let step = pinger.step(start + 3 * S, heard, false);
        assert_eq!(step, Step::Wait(start + 12 * S), "whatever calls there are");
        pinger.answered();
        pinger.silence().end();
        let mut heard = Heard {
            byte: start + 4 * S,
            ..heard
        };
        for second in 6..302 {
            let found = times_out(&mut pinger, heard, second);
            assert!(!found, "only the PONG arrived: {second} s");
        }
        assert!(times_out(&mut pinger, heard, 302));
        heard = both(start + 310 * S);
        assert!(!times_out(&mut pinger, heard, 311));
        assert!(times_out(&mut pinger, heard, 312), "there was news");
    }
}
