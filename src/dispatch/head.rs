use std::fmt;
use std::mem;

use http::header::{CONTENT_TYPE, TE};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use tokio::time::Instant;

use crate::call::Context;
use crate::grpc::{PREVIOUS_ATTEMPTS, TIMEOUT};

/// The head of a request that may have to be sent again.
///
/// Most heads are the two headers of every gRPC call and the one extension that generated code puts
/// there. They are kept without an allocation, where a clone of the head takes six; only a call that is
/// sent again pays for making it anew.
pub(crate) struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    /// Whether there is `te: trailers`, and whether `content-type: application/grpc`.
    usual: [bool; 2],
    /// All other headers.
    others: Vec<(HeaderName, HeaderValue)>,
    /// Whether they say how many attempts came before.
    is_counted: bool,
    context: Option<Context>,
    extras: Extras,
}

/// What the headers of every gRPC call say, as nearly all clients write them.
const TRAILERS: &str = "trailers";
const GRPC: &str = "application/grpc";

/// The extensions besides the context.
pub(crate) enum Extras {
    None,
    #[cfg(feature = "tonic")]
    Method(tonic::GrpcMethod<'static>),
    All(Extensions),
}

impl Head {
    /// The head of this request, which is about to be sent.
    #[inline]
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let context = request.extensions().get::<Context>().cloned();
        let mut head = Self::without_headers(request, context);
        head.keep(request.headers());
        head
    }

    /// The same but for its headers, which [`keep`](Self::keep) writes where the head is then. With the
    /// request's context, if it has one.
    #[inline]
    pub(crate) fn without_headers<B>(request: &Request<B>, context: Option<Context>) -> Self {
        let others = usize::from(context.is_some());
        let extras = Extras::besides(others, request.extensions());
        Self::begun(request, context, extras)
    }

    #[expect(
        clippy::inline_always,
        reason = "it is made where it is kept, not moved there"
    )]
    #[inline(always)]
    pub(crate) fn begun<B>(request: &Request<B>, context: Option<Context>, extras: Extras) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            usual: Default::default(),
            others: Vec::new(),
            is_counted: false,
            context,
            extras,
        }
    }

    /// Keeps these headers.
    #[inline]
    pub(crate) fn keep(&mut self, headers: &HeaderMap) {
        let context = self.context.as_ref();
        let is_bounded = context.is_some_and(|context| context.deadline().is_some());
        for (name, value) in headers {
            // What is left of the time is written anew into whatever is sent.
            if is_bounded && *name == TIMEOUT {
                continue;
            }
            if !self.keep_usual(name, value) {
                self.is_counted |= *name == PREVIOUS_ATTEMPTS;
                self.others.push((name.clone(), value.clone()));
            }
        }
    }

    /// The `grpc-timeout` that the caller wrote.
    #[cfg(feature = "stack")]
    #[inline]
    pub(crate) fn timeout(&self) -> Option<&HeaderValue> {
        let mut named = self.others.iter().filter(|(name, _)| *name == TIMEOUT);
        named.next().map(|(_, value)| value)
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
    #[cfg(feature = "retry")]
    pub(crate) fn is_counted(&self) -> bool {
        self.is_counted
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// What the layers above said of the call.
    pub(crate) fn context(&self) -> Option<&Context> {
        self.context.as_ref()
    }

    pub(crate) fn context_mut(&mut self) -> &mut Context {
        self.context.get_or_insert_default()
    }

    /// The headers of a request that goes now: `grpc-timeout` says what is left.
    pub(crate) fn headers(&self) -> HeaderMap {
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
        if let Some(deadline) = self.context().and_then(Context::deadline) {
            deadline.stamp(&mut headers, Instant::now());
        }
        headers
    }

    /// How much its headers take, but for the usual ones.
    #[cfg(feature = "wait-for-ready")]
    pub(crate) fn bytes(&self) -> usize {
        let sizes = self.others.iter();
        sizes
            .map(|(name, value)| name.as_str().len() + value.len())
            .fold(0, usize::saturating_add)
    }

    /// A request with this head, which goes now.
    pub(crate) fn request<B>(&self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers();
        *request.extensions_mut() = self.extras.extensions();
        if let Some(context) = &self.context {
            request.extensions_mut().insert(context.clone());
        }
        request
    }
}

/// No header values, which may be secret.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("uri", &self.uri)
            .finish_non_exhaustive()
    }
}

impl Extras {
    /// Those of a request that has none but what generated code puts there, and so no context: found by
    /// one look.
    #[cfg(feature = "stack")]
    #[inline]
    pub(crate) fn alone(extensions: &Extensions) -> Option<Self> {
        Self::few(extensions, 0)
    }

    /// Besides so many, which are kept elsewhere.
    #[inline]
    pub(crate) fn besides(others: usize, extensions: &Extensions) -> Self {
        Self::few(extensions, others).unwrap_or_else(|| {
            let mut all = extensions.clone();
            all.remove::<Context>();
            Self::All(all)
        })
    }

    #[inline]
    fn few(extensions: &Extensions, others: usize) -> Option<Self> {
        match extensions.len().saturating_sub(others) {
            0 => Some(Self::None),
            #[cfg(feature = "tonic")]
            1 => extensions.get().cloned().map(Self::Method),
            _ => None,
        }
    }

    fn extensions(&self) -> Extensions {
        let mut extensions = Extensions::new();
        match self {
            Self::None => {}
            #[cfg(feature = "tonic")]
            Self::Method(method) => {
                extensions.insert(method.clone());
            }
            Self::All(all) => extensions.clone_from(all),
        }
        extensions
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::call::Deadline;

    /// An extension of the user's own.
    #[derive(Clone, Debug, PartialEq)]
    struct Tenant(u8);

    fn sorted(headers: &HeaderMap) -> Vec<(&HeaderName, Vec<&HeaderValue>)> {
        let mut all: Vec<_> = headers
            .keys()
            .map(|name| (name, headers.get_all(name).iter().collect()))
            .collect();
        all.sort_by_key(|(name, _)| name.as_str());
        all
    }

    proptest! {
        // CONTRACT B2, R9
        #[test]
        fn a_head_made_anew_is_the_one_that_was_kept(
            headers in proptest::collection::vec((0_u8..6, 0_u16..9), 0..12),
            tenant in any::<Option<u8>>(), has_method in any::<bool>(), has_context in any::<bool>(),
        ) {
            let mut request = Request::post("http://a/kv.v1.Kv/Put").version(Version::HTTP_2).body(())?;
            for (name, value) in headers {
                let name = HeaderName::try_from(format!("x-{name}"))?;
                request.headers_mut().append(name, HeaderValue::from(value));
            }
            let extensions = request.extensions_mut();
            if let Some(tenant) = tenant {
                extensions.insert(Tenant(tenant));
            }
            if has_context {
                Context::of(extensions).declare_kind(crate::grpc::MethodKind::Unary);
            }
            #[cfg(feature = "tonic")]
            if has_method {
                extensions.insert(tonic::GrpcMethod::new("kv.v1.Kv", "Put"));
            }
            let head = Head::of(&request);
            let (parts, ()) = request.into_parts();
            for _ in 0..2 {
                let (made, ()) = head.request(()).into_parts();
                prop_assert_eq!(&made.method, &parts.method);
                prop_assert_eq!(&made.uri, &parts.uri);
                prop_assert_eq!(made.version, parts.version);
                prop_assert_eq!(sorted(&made.headers), sorted(&parts.headers));
                let (made, kept) = (made.extensions, &parts.extensions);
                prop_assert_eq!(made.len(), kept.len());
                prop_assert_eq!(made.get::<Tenant>(), kept.get::<Tenant>());
                let kind = |it: &Extensions| it.get::<Context>().and_then(Context::kind);
                prop_assert_eq!(kind(&made), kind(kept));
                #[cfg(feature = "tonic")]
                prop_assert_eq!(made.get::<tonic::GrpcMethod>().is_some(), has_method);
            }
        }
    }

    // CONTRACT D2
    #[tokio::test(start_paused = true)]
    async fn a_head_made_anew_says_what_is_left_of_the_time() {
        let mut request = Request::new(());
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(5));
        Context::of(request.extensions_mut()).bound(deadline);
        deadline.stamp(request.headers_mut(), Instant::now());
        let head = Head::of(&request);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(head.request(()).headers()[TIMEOUT], "4000000u");
        assert_eq!(head.headers()[TIMEOUT], "4000000u");
    }

    #[test]
    fn its_debug_shows_no_values_of_headers() {
        let request = Request::get("/a.A/Get").header("authorization", "secret");
        let request = request.body(()).unwrap();
        assert!(!format!("{:?}", Head::of(&request)).contains("secret"));
    }
}
