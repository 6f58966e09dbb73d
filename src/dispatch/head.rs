use std::fmt;

use http::{HeaderMap, Request, Uri};
use tokio::time::Instant;

use crate::call::Context;

use super::essentials::Essentials;
use super::extras::Extras;

/// The head of a request that may have to be sent again.
pub(crate) struct Head {
    uri: Uri,
    context: Option<Context>,
    essentials: Essentials,
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

    /// The same but for its headers, which [`keep`](Self::keep) writes where the head is then. With
    /// the request's context, if it has one.
    #[expect(
        clippy::inline_always,
        reason = "it is made where it is kept, not moved there"
    )]
    #[inline(always)]
    pub(crate) fn without_headers<B>(request: &Request<B>, context: Option<Context>) -> Self {
        let others = usize::from(context.is_some());
        let extras = Extras::besides(others, request.extensions());
        Self {
            uri: request.uri().clone(),
            context,
            essentials: Essentials::of(request, extras),
        }
    }

    /// That of which the parts were kept apart.
    pub(crate) fn put_together(uri: Uri, context: Context, essentials: Essentials) -> Self {
        Self {
            uri,
            context: Some(context),
            essentials,
        }
    }

    /// Keeps these headers.
    #[inline]
    pub(crate) fn keep(&mut self, headers: &HeaderMap) {
        let context = self.context.as_ref();
        let is_bounded = context.is_some_and(|context| context.deadline().is_some());
        self.essentials.keep(headers, is_bounded);
    }

    pub(crate) fn essentials(&self) -> &Essentials {
        &self.essentials
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
        let mut headers = self.essentials.headers();
        if let Some(deadline) = self.context().and_then(Context::deadline) {
            deadline.stamp(&mut headers, Instant::now());
        }
        headers
    }

    /// How much its headers take, but for the usual ones.
    pub(crate) fn bytes(&self) -> usize {
        self.essentials.bytes()
    }

    /// A request with this head, which goes now.
    pub(crate) fn request<B>(&self, body: B) -> Request<B> {
        let mut request = self.essentials.request(self.uri.clone(), body);
        *request.headers_mut() = self.headers();
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Extensions, HeaderName, HeaderValue, Version};
    use proptest::prelude::*;

    use super::*;
    use crate::call::Deadline;
    use crate::grpc::TIMEOUT;

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
