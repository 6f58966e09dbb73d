use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderMap, Request, Uri};

use crate::call::Context;
use crate::error::{BoxError, Error};
use crate::grpc::method_of;

type Prepared = Result<NextAttempt, BoxError>;
pub(super) type Preparing = Pin<Box<dyn Future<Output = Prepared> + Send>>;

/// What runs before each attempt, to change its metadata: a fresh token, a trace header.
///
/// ```
/// use grpc_resilience::retry::{BeforeAttempt, NextAttempt, RetryLayer};
///
/// # async fn token(_renew: bool) -> Result<String, std::io::Error> { Ok("t".into()) }
/// let credentials = BeforeAttempt::new(|mut next: NextAttempt| async move {
///     let token = token(next.last_failure().is_some()).await?;
///     next.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
///     Ok(next)
/// });
/// let layer = RetryLayer::default().before_attempt(credentials.renews_credentials());
/// ```
///
/// It runs for calls that are never retried, too. Each attempt starts from what the caller sent: what the hook adds to one does not reach the
/// next. Nothing is sent while it runs, the deadline layer bounds it, and dropping the call drops
/// it. If it fails, so does the attempt: with the code of a `tonic::Status` that it returns as its
/// `BoxError`, or else UNAVAILABLE, as the core implementations have it; the policy decides what follows.
#[derive(Clone)]
pub struct BeforeAttempt {
    run: Arc<dyn Fn(NextAttempt) -> Preparing + Send + Sync>,
    renews: bool,
}

impl BeforeAttempt {
    /// A hook. It hands back the attempt that it was given.
    pub fn new<F, Fut>(hook: F) -> Self
    where
        F: Fn(NextAttempt) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<NextAttempt, BoxError>> + Send + 'static,
    {
        Self {
            run: Arc::new(move |next| Box::pin(hook(next))),
            renews: false,
        }
    }

    /// Has UNAUTHENTICATED retried once a call, at once, since the hook then brings a new token.
    /// As any answer it is retried only for a call that is safe to repeat, within the attempts and
    /// the budget, and not if the caller's `retry_only_on` leaves it out. A
    /// [`Policy`](super::Policy) of your own looks at
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

    pub(super) fn prepare(&self, next: NextAttempt) -> Preparing {
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
/// Its `Debug` shows no header values, which may be secret.
pub struct NextAttempt {
    pub(super) uri: Uri,
    pub(super) number: u32,
    pub(super) headers: HeaderMap,
    pub(super) last_failure: Option<Error>,
}

impl NextAttempt {
    /// The attempt of a call that this layer does not repeat.
    pub(super) fn only<B>(request: &Request<B>) -> Self {
        let context = request.extensions().get::<Context>();
        Self {
            uri: request.uri().clone(),
            number: context.and_then(Context::attempt).unwrap_or(1),
            headers: request.headers().clone(),
            last_failure: None,
        }
    }

    /// The method, `/package.Service/Method`.
    #[must_use]
    pub fn method(&self) -> &str {
        method_of(self.uri.path())
    }

    /// The number of the attempt, from 1; a transparent retry has that of the attempt it repeats.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What the caller sends, and what the hook makes of it.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The headers, to be changed. `grpc-previous-rpc-attempts` and, for a call with a deadline,
    /// `grpc-timeout` are written after the hook.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Why the attempt before failed; `None` before the first.
    #[must_use]
    pub fn last_failure(&self) -> Option<&Error> {
        self.last_failure.as_ref()
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
