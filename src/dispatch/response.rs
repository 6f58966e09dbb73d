use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body::SizeHint;

use crate::classify;
use crate::error::Error;
use crate::grpc::{Code, StatusHeaders, UNPROCESSED, Vouched, remove_malformed_details};

/// Makes a response head what every layer hands up: it can't make tonic's client panic, and what is
/// no gRPC answer, such as a proxy's page, is the failure that its HTTP status says (CONTRACT H2).
/// What it says already, if it is Trailers-Only.
#[inline]
pub(crate) fn received<B>(response: &mut Response<B>) -> Result<Option<Code>, Error> {
    let glance = StatusHeaders::at(response.headers());
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
        // Only a channel of this crate names the endpoint (CONTRACT I7).
        let is_from_channel = response.extensions().get::<classify::Endpoint>().is_some();
        let vouched = vouched.over_channel(is_from_channel);
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
        let glance = StatusHeaders::at(trailers);
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
pub(crate) fn and_held(mut hint: SizeHint, held: &Bytes) -> SizeHint {
    let held = u64::try_from(held.len()).unwrap_or(u64::MAX);
    if let Some(upper) = hint.upper() {
        hint.set_upper(upper.saturating_add(held));
    }
    hint.set_lower(hint.lower().saturating_add(held));
    hint
}
