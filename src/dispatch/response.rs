use std::task::Poll;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
#[cfg(feature = "retry")]
use http_body::SizeHint;

use crate::classify;
use crate::error::{BoxError, Error};
use crate::grpc::{Code, Glance, UNPROCESSED, Vouched, remove_malformed_details};

/// Makes a response head what every layer hands up: it can't make tonic's client panic, and what is no gRPC answer, such as a proxy's page, is the failure that its HTTP status says
/// (CONTRACT H2). What it says already, if it is Trailers-Only.
#[inline]
pub(crate) fn received<B>(response: &mut Response<B>) -> Result<Option<Code>, Error> {
    let glance = Glance::at(response.headers());
    if glance.has_details {
        remove_malformed_details(response.headers_mut());
    }
    if glance.has_vouch {
        take_vouch(response, glance.code);
    }
    // Whatever it says, a gRPC answer says it: who acts on it reads it.
    if glance.code.is_some() || glance.is_no_failure(response.status()) {
        return Ok(glance.code);
    }
    failure_of(response).map_or(Ok(None), Err)
}

/// The word that the request had no effect is of one hop (CONTRACT I7): no header goes up, but what
/// a Trailers-Only failure says to whoever knows the path of the request.
#[cold]
fn take_vouch<B>(response: &mut Response<B>, code: Option<Code>) {
    let vouched = Vouched::take(response.headers_mut());
    if let (Some(vouched), Some(code)) = (vouched, code)
        && code != Code::Ok
    {
        response.extensions_mut().insert(vouched);
    }
}

/// The failure that a response head speaks of.
#[cold]
pub(crate) fn failure_of<B>(response: &Response<B>) -> Option<Error> {
    let head = classify::head(response.status(), response.headers());
    head.map(|(verdict, status)| Error::answered(verdict, status).at(response.extensions().get()))
}

/// What a response body gives to whoever polls it.
pub(crate) type Read = Option<Result<Frame<Bytes>, Error>>;

/// What is to be known of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Data,
    /// With the code that they say.
    Trailers(Option<Code>),
}

impl Seen {
    /// Makes a frame what every layer hands up: trailers can't make tonic's client panic.
    #[inline]
    pub(crate) fn tidy(frame: &mut Frame<Bytes>) -> Self {
        let Some(trailers) = frame.trailers_mut() else {
            return Self::Data;
        };
        let glance = Glance::at(trailers);
        if glance.has_details {
            remove_malformed_details(trailers);
        }
        if glance.has_vouch {
            trailers.remove(UNPROCESSED);
        }
        Self::Trailers(glance.code)
    }
}

/// The hint of a body before which this goes, which was read of it already.
#[cfg(feature = "retry")]
pub(crate) fn and_held(mut hint: SizeHint, held: &Bytes) -> SizeHint {
    let held = u64::try_from(held.len()).unwrap_or(u64::MAX);
    if let Some(upper) = hint.upper() {
        hint.set_upper(upper.saturating_add(held));
    }
    hint.set_lower(hint.lower().saturating_add(held));
    hint
}

/// What broke a response body off, as every layer hands it up.
#[cold]
pub(crate) fn broken(error: impl Into<BoxError>) -> Error {
    Error::from_inner(error).after_headers()
}

/// The outcome of a call on which the layer does not act, and of which nobody writes anything down.
#[inline]
pub(crate) fn passed<R, B>(
    polled: Poll<Result<Response<R>, Error>>,
    body: impl FnOnce(R) -> B,
) -> Poll<Result<Response<B>, Error>> {
    match polled {
        Poll::Ready(Ok(mut response)) => match received(&mut response) {
            Ok(_) => Poll::Ready(Ok(response.map(body))),
            Err(error) => Poll::Ready(Err(error)),
        },
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Pending,
    }
}

/// What was read for such a call.
#[inline]
pub(crate) fn read_past<E: Into<BoxError>>(
    polled: Poll<Option<Result<Frame<Bytes>, E>>>,
) -> Poll<Read> {
    match polled {
        Poll::Ready(Some(Ok(mut frame))) => {
            Seen::tidy(&mut frame);
            Poll::Ready(Some(Ok(frame)))
        }
        Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(broken(error)))),
        Poll::Ready(None) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    }
}
