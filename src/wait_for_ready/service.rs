use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::body::RequestBody;
use crate::dispatch::{Readied, Recorder};
use crate::error::{BoxError, Error};

use super::call::WaitCall;
use super::gate::Gate;
use super::settings::Settings;
use super::{Readiness, ResponseFuture, WaitBody};

/// The service of [`WaitForReadyLayer`](super::WaitForReadyLayer).
#[derive(Clone, Debug)]
pub struct WaitForReady<S> {
    inner: Readied<S>,
    gate: Arc<Gate>,
    settings: Arc<Settings>,
}

impl<S: Clone> WaitForReady<S> {
    pub(super) fn new(inner: S, gate: Arc<Gate>, settings: Arc<Settings>) -> Self {
        Self {
            inner: Readied::new(inner),
            gate,
            settings,
        }
    }
}

impl<S> WaitForReady<S> {
    /// What the calls of this channel have shown of it.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        Readiness::of(&self.gate)
    }
}

impl<S, B, R> Service<Request<B>> for WaitForReady<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    B: RequestBody,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Response = Response<WaitBody<R>>;
    type Error = Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll(cx);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<S, B> {
        let lease = self.inner.take();
        let recorder = Recorder::of(request.extensions());
        let (gate, settings) = (Arc::clone(&self.gate), Arc::clone(&self.settings));
        let call = WaitCall::new(gate, settings, lease.spare(), request);
        ResponseFuture::new(call, lease, recorder)
    }
}
