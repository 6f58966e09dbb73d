use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status};

use crate::call::{BudgetSlot, CallOptionsExt as _, Context, Deadline, Safety, Timeout};
use crate::grpc::MethodKind;

/// The messages of one opening.
pub(super) type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// An opening that is under way.
pub(super) type Opening<T> =
    Pin<Box<dyn Future<Output = Result<Response<Messages<T>>, Status>> + Send>>;

/// Opens a stream with a request.
pub(super) type Open<Req, T> = Box<dyn FnMut(Request<Req>) -> Opening<T> + Send>;

/// Makes the request that resumes at a token.
pub(super) type Resume<Req, Token> = Box<dyn FnMut(&Req, Token) -> Req + Send>;

/// What makes the openings of a stream, without the type of its request.
pub(super) type Opener<T, Token> =
    Box<dyn FnMut(Option<Token>, Option<Duration>) -> Opening<T> + Send>;

/// The caller's request, of which each opening sends a copy.
pub(super) struct Template<Req> {
    message: Req,
    metadata: MetadataMap,
    extensions: Extensions,
}

impl<Req: Clone> Template<Req> {
    /// Removes the deadline from the request, which then bounds the whole stream instead of each
    /// opening.
    pub(super) fn new(request: Request<Req>, slot: &BudgetSlot) -> (Self, Option<Duration>) {
        let (metadata, extensions, message) = request.into_parts();
        let mut request = Request::from_parts(metadata, extensions, message);
        let timeout = timeout_of(&request);
        request.call_options().no_timeout().watch_budget(slot);
        // Not as options of the caller, which would need a layer that reads them.
        let context = Context::of(request.extensions_mut());
        context.declare(Safety::Idempotent);
        // Either kind answers in a stream; of the two, this one promises less about the request.
        context.declare_kind(MethodKind::BidiStreaming);
        request.metadata_mut().remove("grpc-timeout");
        let (metadata, extensions, message) = request.into_parts();
        let template = Self {
            message,
            metadata,
            extensions,
        };
        (template, timeout)
    }

    pub(super) fn into_opener<T: 'static, Token: 'static>(
        self,
        mut open: Open<Req, T>,
        mut resume: Resume<Req, Token>,
    ) -> Opener<T, Token>
    where
        Req: Send + 'static,
    {
        Box::new(move |token, remaining| {
            let message = match token {
                Some(token) => resume(&self.message, token),
                None => self.message.clone(),
            };
            let (metadata, extensions) = (self.metadata.clone(), self.extensions.clone());
            let mut request = Request::from_parts(metadata, extensions, message);
            if let Some(remaining) = remaining {
                // The header tells a server below a bare channel, the option our layers.
                request.set_timeout(remaining);
                request.call_options().timeout(remaining);
            }
            open(request)
        })
    }
}

/// Longer than any stream lives, and short enough for tonic's `set_timeout`.
const LONGEST: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The earlier one of the caller's `grpc-timeout` and the option of the call.
fn timeout_of<Req>(request: &Request<Req>) -> Option<Duration> {
    let headers = request.metadata().clone().into_headers();
    let header = Deadline::from_headers(&headers, Instant::now())
        .ok()
        .flatten();
    let header = header.map(|deadline| deadline.timeout());
    let context = request.extensions().get::<Context>();
    let option = match context.map(|context| context.options().chosen_timeout()) {
        Some(Timeout::After(timeout)) => Some(timeout),
        _ => None,
    };
    let earlier = match (header, option) {
        (Some(header), Some(option)) => Some(header.min(option)),
        (header, option) => header.or(option),
    };
    earlier.map(|timeout| timeout.min(LONGEST))
}
