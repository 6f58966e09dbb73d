use std::mem;

use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use crate::grpc::{PREVIOUS_ATTEMPTS, TIMEOUT};

use super::extras::Extras;

/// What of a head each call has for itself. The rest, the URI and the context, all calls of a
/// method can share.
///
/// Most heads are the two headers of every gRPC call and the one extension that generated code puts
/// there. They are kept without an allocation, where a clone of the head takes six; only a call
/// that is sent again pays for making it anew.
pub(crate) struct Essentials {
    method: Method,
    version: Version,
    /// Whether there is `te: trailers`, and whether `content-type: application/grpc`.
    usual: [bool; 2],
    /// All other headers.
    others: Vec<(HeaderName, HeaderValue)>,
    /// Whether they say how many attempts came before.
    is_counted: bool,
    extras: Extras,
}

/// What the headers of every gRPC call say, as nearly all clients write them.
const TRAILERS: &str = "trailers";
const GRPC: &str = "application/grpc";

impl Essentials {
    /// But for the headers, which [`keep`](Self::keep) writes where it is then.
    #[expect(
        clippy::inline_always,
        reason = "it is made where it is kept, not moved there"
    )]
    #[inline(always)]
    pub(crate) fn of<B>(request: &Request<B>, extras: Extras) -> Self {
        Self {
            method: request.method().clone(),
            version: request.version(),
            usual: Default::default(),
            others: Vec::new(),
            is_counted: false,
            extras,
        }
    }

    /// Keeps these headers, but for `grpc-timeout` if the call `is_bounded`: what is left of the
    /// time is written anew into whatever is sent again. Returns the first one that it left out.
    #[inline]
    pub(crate) fn keep<'a>(
        &mut self,
        headers: &'a HeaderMap,
        is_bounded: bool,
    ) -> Option<&'a HeaderValue> {
        let mut timeout = None;
        for (name, value) in headers {
            if is_bounded && *name == TIMEOUT {
                timeout = timeout.or(Some(value));
                continue;
            }
            if !self.keep_usual(name, value) {
                self.is_counted |= *name == PREVIOUS_ATTEMPTS;
                self.others.push((name.clone(), value.clone()));
            }
        }
        timeout
    }

    /// Whether it is one of the usual ones, there for the first time.
    #[inline]
    fn keep_usual(&mut self, name: &HeaderName, value: &HeaderValue) -> bool {
        let [te, kind] = &mut self.usual;
        let value = value.as_bytes();
        let is_kept = if *name == TE && value == TRAILERS.as_bytes() {
            te
        } else if *name == CONTENT_TYPE && value == GRPC.as_bytes() {
            kind
        } else {
            return false;
        };
        // Values of one name stay in their order.
        let is_first = self.others.iter().all(|(it, _)| it != name);
        is_first && !mem::replace(is_kept, true)
    }

    /// Whether somebody wrote into it how many attempts came before.
    pub(crate) fn is_counted(&self) -> bool {
        self.is_counted
    }

    /// The headers, with room for one more.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.others.len() + 3);
        let [te, kind] = self.usual;
        if te {
            headers.insert(TE, HeaderValue::from_static(TRAILERS));
        }
        if kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
        }
        for (name, value) in &self.others {
            headers.append(name.clone(), value.clone());
        }
        headers
    }

    /// How much its headers take, but for the usual ones.
    pub(super) fn bytes(&self) -> usize {
        let sizes = self.others.iter();
        sizes
            .map(|(name, value)| name.as_str().len() + value.len())
            .fold(0, usize::saturating_add)
    }

    /// A request with it, but for the headers.
    pub(super) fn request<B>(&self, uri: Uri, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.version_mut() = self.version;
        *request.extensions_mut() = self.extras.extensions();
        request
    }
}
