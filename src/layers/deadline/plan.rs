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
use super::bound::DeadlineTimer;
use super::timeout_header::TimeoutHeader;

/// What the layer says of the calls' ends.
#[derive(Clone, Debug)]
pub(crate) struct DeadlinePlan {
    policy: DeadlinePolicy,
    rendered: Option<TimeoutHeader>,
    /// Where timers come from.
    homes: Arc<Homes>,
}

#[derive(Debug)]
struct Homes {
    home: Home,
    /// By what calls hold that.
    held: Striped<Home>,
}

/// What ends a call.
pub(crate) struct CallDeadline {
    timeout: Option<Duration>,
    /// Whether the caller's `grpc-timeout` says the same.
    is_stated: bool,
    /// Whether it is the layer's, and nobody's word for this call.
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
        DeadlineTimer::new(context.deadline(), self.served.as_ref())
    }

    /// Whether it is over by now, before it began: what [`Bound::has_ended`] would say of it.
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

    /// Where the timers of a call come from that begins here.
    #[inline]
    pub(crate) fn home(&self) -> &Home {
        let home = &self.homes.home;
        home.note();
        home
    }

    /// The same for a call to hold.
    pub(super) fn held_home(&self) -> Arc<Home> {
        let home = self.home();
        self.homes.held.get(|| home.clone())
    }

    /// By the caller's `grpc-timeout` and options; `is_known` if something bounds the call already. `None` if
    /// nothing does.
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

    /// Writes what is left into the headers of a request that goes now. The caller's own word stays as it is
    /// where it says the same, and nothing else.
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

/// What ends an ordinary call.
pub(crate) enum EndsBy {
    Itself,
    Timeout {
        timeout: Duration,
        /// Whether the caller's `grpc-timeout` says the same.
        is_stated: bool,
    },
    /// The call that it is made for, too.
    ParentCall(Box<CallDeadline>),
}

impl DeadlinePlan {
    /// What ends a call that nothing further out bounds; `None` if it fails at once.
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

    /// The same of a call with just this timeout, all of which is left.
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

/// Writes what was rendered already, or else what is left.
#[inline]
fn put(headers: &mut HeaderMap, rendered: Option<HeaderValue>, left: impl FnOnce() -> Duration) {
    let header = rendered.unwrap_or_else(|| render_timeout(left()));
    headers.insert(TIMEOUT, header);
}

#[cold]
fn missing() -> Error {
    let message = "the call has no deadline, and the layer forbids that: set a timeout, or say \
                   call_options().no_timeout()";
    Error::local(Code::InvalidArgument, Reason::InvalidCall, message)
        .given_up(GiveUp::InvalidCall, 0)
}

#[cold]
fn malformed(invalid: InvalidTimeout) -> Error {
    Error::local(Code::Internal, Reason::InvalidCall, invalid.to_string())
        .given_up(GiveUp::InvalidCall, 0)
}
