use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::time::Instant;
use tower_service::Service;

use crate::call::{Deadline, ParentCall};
use crate::events::{self, Once};
use crate::grpc::{Code, Status};
use crate::kernel::timer::Home;
use crate::methods::method_of;

use super::client::is_a_client_s;
use super::watch::{Until, Watch};
use super::{HandlerDeadline, ResponseFuture, ServerDeadlineBody, ServerDeadlinePolicy};

static ON_A_CLIENT: Once = Once::new();

/// The service of [`ServerDeadlineLayer`](super::ServerDeadlineLayer).
#[derive(Clone, Debug)]
pub struct ServerDeadline<S> {
    inner: S,
    policy: ServerDeadlinePolicy,
    home: Home,
}

impl<S> ServerDeadline<S> {
    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, without the layer.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }

    pub(super) fn new(inner: S, policy: ServerDeadlinePolicy) -> Self {
        let home = Home::here();
        Self {
            inner,
            policy,
            home,
        }
    }
}

impl<S, B, R> Service<Request<B>> for ServerDeadline<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ServerDeadlineBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.home.note();
        if is_a_client_s(request.extensions()) {
            ON_A_CLIENT.say(events::server::server_deadline_on_a_client);
        }
        let now = Instant::now();
        let (handler, calls) = match self.policy.terms(request.headers()) {
            Ok(HandlerDeadline::Unbounded) => (None, None),
            Ok(HandlerDeadline::Within { handler, calls }) => (Some(handler), Some(calls)),
            Ok(HandlerDeadline::Expired) => {
                let message = "the caller's deadline had passed when the call arrived";
                events::server::came_late(method_of(request.uri().path()));
                // No handler has seen the request (CONTRACT I7).
                let status = Status::new(Code::DeadlineExceeded, message);
                return ResponseFuture::answered(status.vouching_for(request.uri()));
            }
            Err(malformed) => {
                let status = Status::new(Code::Internal, malformed.to_string());
                return ResponseFuture::answered(status);
            }
        };
        let calls = calls.map(|timeout| Deadline::after(now, timeout));
        let (served, over) = ParentCall::begin(calls);
        request.extensions_mut().insert(served.clone());
        let path = request.uri().path_and_query().cloned();
        let until = handler.map(|timeout| {
            let deadline = Deadline::after(now, timeout);
            Until {
                deadline,
                timer: self.home.timer(deadline.at()),
                path: path
                    .as_ref()
                    .filter(|_| events::server::hears_of_handlers())
                    .cloned(),
            }
        });
        // A timeout such as `1n` may pass before the handler is polled. That answer has no mark:
        // the service below has the request, and may have started to work on it in `call`.
        let future = served.step(|| self.inner.call(request));
        ResponseFuture::serving(future, path, Watch::new(served, over, until))
    }
}
