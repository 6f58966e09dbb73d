use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderMap, Request, Uri};

use crate::call::Context;
use crate::error::{BoxError, Error};
use crate::grpc::Code;
use crate::methods::method_of;

use super::credentials::{Credentials, Sent};

type Run = Pin<Box<dyn Future<Output = Result<Prepared, BoxError>> + Send>>;
pub(super) type Preparing = Run;

/// The result of a hook.
pub(super) struct Prepared {
    pub(super) headers: HeaderMap,
    pub(super) sent: Box<Sent>,
}

/// A hook that runs before each attempt and changes its metadata: a fresh token, a trace header.
///
/// ```
/// use grpc_resilience::retry::{BeforeAttempt, NextAttempt, RetryLayer};
///
/// # async fn token(_renew: bool) -> Result<String, std::io::Error> { Ok("t".into()) }
/// let credentials = BeforeAttempt::new(|mut next: NextAttempt| async move {
///     let token = token(next.has_refused_credentials()).await?;
///     next.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
///     Ok(next)
/// });
/// let layer = RetryLayer::default().before_attempt(credentials.renews_credentials());
/// ```
///
/// It runs for calls that are never retried, too. Each attempt starts from the caller's metadata:
/// changes for one attempt do not reach the next. Nothing is sent while the hook runs, the deadline
/// layer bounds it, and dropping the call drops it. If the hook fails, the attempt fails: with the
/// code of a `tonic::Status` that the hook returns as its `BoxError`, or else with UNAVAILABLE, as
/// in the core implementations. The policy decides whether a retry follows.
///
/// A call that is not repeated cannot renew its own credentials. So when any call has failed with
/// UNAUTHENTICATED, declared or not, [`NextAttempt::has_refused_credentials`] is `true` before the
/// next attempt of every call, including second attempts after another failure, until the hook has
/// succeeded once with it. Clones of a hook share this state, as they share its credentials.
#[derive(Clone)]
pub struct BeforeAttempt {
    run: Arc<dyn Fn(NextAttempt) -> Run + Send + Sync>,
    renews: bool,
    credentials: Credentials,
}

impl BeforeAttempt {
    /// Creates a hook. The closure returns the attempt that it receives.
    pub fn new<F, Fut>(hook: F) -> Self
    where
        F: Fn(NextAttempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<NextAttempt, BoxError>> + Send + 'static,
    {
        let credentials = Credentials::default();
        let known = credentials.clone();
        let run = move |next: NextAttempt| -> Run {
            let (known, renewals) = (known.clone(), known.renewals());
            let is_told = next.has_refused_credentials();
            let prepared = hook(next);
            Box::pin(async move {
                let NextAttempt { headers, .. } = prepared.await?;
                if is_told {
                    known.renewed(renewals);
                }
                let sent = Box::new(known.sent());
                Ok(Prepared { headers, sent })
            })
        };
        Self {
            run: Arc::new(run),
            renews: false,
            credentials,
        }
    }

    /// Retries UNAUTHENTICATED once for each call, without backoff, because the hook then brings a
    /// new token. Default: off. As with any response it is retried only for a call that is safe to
    /// repeat, within the attempts and the budget, and not if the caller's `retry_only_on` leaves
    /// it out. A [`Policy`](super::Policy) of your own reads
    /// [`Outcome::renewable`](super::Outcome::renewable).
    #[must_use]
    pub fn renews_credentials(self) -> Self {
        Self {
            renews: true,
            ..self
        }
    }

    pub(super) fn renews(&self) -> bool {
        self.renews
    }

    pub(super) fn prepare(&self, mut next: NextAttempt) -> Preparing {
        let refusal = self.credentials.refusal();
        next.is_refused = refusal.is_some();
        next.last_failure = next.last_failure.or(refusal);
        (self.run)(next)
    }
}

impl fmt::Debug for BeforeAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeforeAttempt")
            .field("renews", &self.renews)
            .finish_non_exhaustive()
    }
}

/// An attempt that is about to start.
///
/// The `Debug` output contains no header values, which may be secret.
pub struct NextAttempt {
    pub(super) uri: Uri,
    pub(super) number: u32,
    pub(super) headers: HeaderMap,
    pub(super) last_failure: Option<Error>,
    /// The credentials of some call were refused, and the hook has not renewed them since.
    pub(super) is_refused: bool,
}

impl NextAttempt {
    /// The only attempt of a call that this layer does not repeat.
    pub(super) fn only<B>(request: &Request<B>) -> Self {
        let context = request.extensions().get::<Context>();
        Self {
            uri: request.uri().clone(),
            number: context.and_then(Context::attempt).unwrap_or(1),
            headers: request.headers().clone(),
            last_failure: None,
            is_refused: false,
        }
    }

    /// The method, `/package.Service/Method`.
    #[must_use]
    pub fn method(&self) -> &str {
        method_of(self.uri.path())
    }

    /// The number of the attempt, from 1. A transparent retry has the number of the attempt that it
    /// repeats.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The metadata from the caller, with the changes of the hook.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The headers, for changes. The layer writes `grpc-previous-rpc-attempts` and, for a call with
    /// a deadline, `grpc-timeout` after the hook.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// The failure of the previous attempt. Before the first attempt: the UNAUTHENTICATED of an
    /// earlier call, if the hook has not succeeded with it since; otherwise `None`.
    #[must_use]
    pub fn last_failure(&self) -> Option<&Error> {
        self.last_failure.as_ref()
    }

    /// Whether the hook must bring new credentials: the previous attempt failed with
    /// UNAUTHENTICATED, or any call did since the hook last renewed them.
    /// [`last_failure`](Self::last_failure) may be a different failure, because another call's
    /// credentials may have been refused.
    #[must_use]
    pub fn has_refused_credentials(&self) -> bool {
        let failure = self.last_failure.as_ref();
        self.is_refused || failure.is_some_and(|failure| failure.code() == Code::Unauthenticated)
    }
}

impl fmt::Debug for NextAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextAttempt")
            .field("method", &self.method())
            .field("number", &self.number)
            .field("last_failure", &self.last_failure)
            .finish_non_exhaustive()
    }
}
