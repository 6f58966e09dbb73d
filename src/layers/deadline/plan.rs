use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use crate::call::{self, CallOptions, Deadline, ParentCall};
use crate::classify::Reason;
use crate::error::{Error, GiveUp};
use crate::grpc::{Code, InvalidTimeout, TIMEOUT, is_repeated, parse_timeout, render_timeout};
use crate::kernel::striped::Striped;
use crate::kernel::timer::Home;

use super::DeadlinePolicy;
use super::deadline_timer::DeadlineTimer;
use super::timeout_header::TimeoutHeader;

/// The layer's deadline settings, shared by its calls.
#[derive(Clone, Debug)]
pub(crate) struct DeadlinePlan {
    policy: DeadlinePolicy,
    rendered: Option<TimeoutHeader>,
    /// The sources of timers.
    homes: Arc<Homes>,
}

#[derive(Debug)]
struct Homes {
    home: Home,
    /// Per-thread handles of `home` for the calls that keep one.
    held: Striped<Home>,
}

/// The effective deadline of a call, before the call begins.
pub(crate) struct CallDeadline {
    timeout: Option<Duration>,
    /// Whether the caller's `grpc-timeout` equals `timeout`.
    is_stated: bool,
    /// Whether `timeout` is the layer's default, rather than set for this call.
    is_default: bool,
    served: Option<ParentCall>,
}

impl CallDeadline {
    /// Writes the deadline into the context, if the call has one.
    #[inline]
    pub(crate) fn bind(&self, context: &mut call::Context, now: Instant) -> DeadlineTimer {
        if let Some(timeout) = self.timeout {
            context.bound(Deadline::after(now, timeout));
        }
        if let Some(inherited) = self.served.as_ref().and_then(ParentCall::deadline) {
            context.bound(inherited);
        }
        if self.is_default {
            let timeout = context.deadline().map(|it| it.timeout());
            context.end_by_default(timeout == self.timeout);
        }
        context.time();
        DeadlineTimer::new(context.deadline(), self.served.as_ref())
    }

    /// Whether the call is over by `now`, before it began; agrees with
    /// [`DeadlineTimer::has_ended`].
    fn have_ended(&self, now: Instant) -> bool {
        let is_late = |served: &ParentCall| served.deadline().is_some_and(|it| it.at() <= now);
        let is_over = |served: &ParentCall| served.is_over() || is_late(served);
        self.timeout.is_some_and(|it| it.is_zero()) || self.served.as_ref().is_some_and(is_over)
    }
}

impl DeadlinePlan {
    pub(super) fn new(policy: DeadlinePolicy) -> Self {
        Self {
            policy,
            rendered: policy.default_timeout().map(TimeoutHeader::new),
            homes: Arc::new(Homes {
                home: Home::here(),
                held: Striped::new(),
            }),
        }
    }

    /// The source of timers for a call that begins on this thread.
    #[inline]
    pub(crate) fn home(&self) -> &Home {
        let home = &self.homes.home;
        home.note();
        home
    }

    /// Like [`home`](Self::home), for a call that keeps it.
    pub(super) fn held_home(&self) -> Arc<Home> {
        let home = self.home();
        self.homes.held.get(|| home.clone())
    }

    /// The call's deadline from its `grpc-timeout` and options. `is_known`: an outer layer bounds
    /// the call already. `None` if nothing bounds it.
    #[expect(clippy::inline_always, reason = "most layers find nothing here")]
    #[inline(always)]
    pub(super) fn terms(
        &self,
        header: Option<&HeaderValue>,
        options: &CallOptions,
        is_known: bool,
    ) -> Result<Option<CallDeadline>, Error> {
        let header = header.map(|value| parse_timeout(value.as_bytes()));
        let header = header.transpose().map_err(malformed)?;
        let timeout = self.policy.timeout(header, options);
        let served = options.inherited().cloned().or_else(ParentCall::current);
        let inherited = served.as_ref().and_then(ParentCall::deadline);
        let is_bounded = timeout.is_some() || inherited.is_some() || is_known;
        if !is_bounded && !self.policy.allows_none(options) {
            return Err(missing());
        }
        if !is_bounded && served.is_none() {
            return Ok(None);
        }
        Ok(Some(CallDeadline {
            timeout,
            is_stated: header.is_some() && header == timeout,
            is_default: timeout.is_some() && header != timeout && options.is_timeout_unset(),
            served,
        }))
    }

    /// Writes the remaining time into the headers of a request that is sent at `now`. A single
    /// `grpc-timeout` of the caller that equals it stays as written.
    #[inline]
    pub(crate) fn write(
        &self,
        terms: &CallDeadline,
        deadline: Option<Deadline>,
        headers: &mut HeaderMap,
        now: Instant,
    ) {
        let Some(deadline) = deadline else {
            return;
        };
        let stated = terms.timeout.filter(|_| terms.is_stated);
        let is_stated = stated.is_some_and(|it| deadline == Deadline::after(now, it));
        if is_stated && !is_repeated(headers, &TIMEOUT) {
            return;
        }
        let rendered = self.rendered.as_ref();
        let rendered = rendered.and_then(|rendered| rendered.of(deadline, now));
        put(headers, rendered, || deadline.told(now));
    }
}

/// How an ordinary call ends.
pub(crate) enum EndsBy {
    Itself,
    Timeout {
        timeout: Duration,
        /// Whether the caller's `grpc-timeout` equals `timeout`.
        is_stated: bool,
    },
    /// Also bounded by its parent call.
    ParentCall(Box<CallDeadline>),
}

impl DeadlinePlan {
    /// How a call without an outer bound ends; `None` if it fails at once.
    #[inline]
    pub(crate) fn end_of(
        &self,
        header: Option<&HeaderValue>,
        options: &CallOptions,
        now: Instant,
    ) -> Option<EndsBy> {
        if options.inherited().is_some() || ParentCall::is_running() {
            return self.end_of_served(header, options, now);
        }
        let header = header.map(|value| parse_timeout(value.as_bytes()));
        let header = header.transpose().ok()?;
        match self.policy.timeout(header, options) {
            Some(timeout) if !timeout.is_zero() => Some(EndsBy::Timeout {
                timeout,
                is_stated: header == Some(timeout),
            }),
            None if self.policy.allows_none(options) => Some(EndsBy::Itself),
            _ => None,
        }
    }

    #[cold]
    fn end_of_served(
        &self,
        header: Option<&HeaderValue>,
        options: &CallOptions,
        now: Instant,
    ) -> Option<EndsBy> {
        let terms = self.terms(header, options, false).ok()??;
        (!terms.have_ended(now)).then(|| EndsBy::ParentCall(Box::new(terms)))
    }

    /// Like [`write`](Self::write), for a call with this timeout, before any of it has elapsed.
    #[inline]
    pub(crate) fn write_whole(&self, timeout: Duration, is_stated: bool, headers: &mut HeaderMap) {
        if is_stated && !is_repeated(headers, &TIMEOUT) {
            return;
        }
        let rendered = self.rendered.as_ref();
        let rendered = rendered.and_then(|rendered| rendered.whole(timeout));
        put(headers, rendered, || timeout);
    }
}

/// Writes the cached value, or else the remaining time.
#[inline]
fn put(headers: &mut HeaderMap, rendered: Option<HeaderValue>, left: impl FnOnce() -> Duration) {
    let header = rendered.unwrap_or_else(|| render_timeout(left()));
    headers.insert(TIMEOUT, header);
}

#[cold]
fn missing() -> Error {
    let message = "the call has no deadline, which forbid_missing_deadline requires: set a timeout, \
                   or set call_options().no_timeout()";
    Error::local(Code::InvalidArgument, Reason::InvalidCall, message)
        .given_up(GiveUp::InvalidCall, 0)
}

#[cold]
fn malformed(invalid: InvalidTimeout) -> Error {
    Error::local(Code::Internal, Reason::InvalidCall, invalid.to_string())
        .given_up(GiveUp::InvalidCall, 0)
}
