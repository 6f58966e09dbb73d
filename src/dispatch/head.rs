use std::fmt;

use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::call::Context;
use crate::grpc::TIMEOUT;

/// Room for the headers of most calls: tonic's two, credentials, one more.
const FEW: usize = 4;

/// The head of a request that may have to be sent again.
///
/// Most heads are few headers and the one extension that generated code puts there. They are kept
/// without an allocation, where a clone of the head takes six; only a call that is sent again pays for
/// making it anew.
pub(crate) struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    headers: SmallVec<[(HeaderName, HeaderValue); FEW]>,
    context: Option<Context>,
    extensions: Kept,
}

/// The extensions besides the context.
enum Kept {
    None,
    #[cfg(feature = "tonic")]
    Method(tonic::GrpcMethod<'static>),
    All(Extensions),
}

impl Head {
    /// The head of this request, which is about to be sent.
    #[inline]
    pub(crate) fn of(parts: &Parts) -> Self {
        let context = parts.extensions.get::<Context>();
        let is_stamped = context.is_some_and(|context| context.deadline().is_some());
        let mut headers = SmallVec::new();
        for (name, value) in &parts.headers {
            // What is left of the time is written anew into whatever is sent.
            if !is_stamped || *name != TIMEOUT {
                headers.push((name.clone(), value.clone()));
            }
        }
        Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            headers,
            extensions: Kept::of(&parts.extensions, usize::from(context.is_some())),
            context: context.cloned(),
        }
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

    /// The headers, but for a `grpc-timeout` that is written anew.
    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 1);
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        headers
    }

    /// How much its headers take.
    #[cfg(feature = "wait-for-ready")]
    pub(crate) fn bytes(&self) -> usize {
        let sizes = self.headers.iter();
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
        *request.extensions_mut() = self.extensions.extensions();
        if let Some(context) = &self.context {
            if let Some(deadline) = context.deadline() {
                deadline.stamp(request.headers_mut(), Instant::now());
            }
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

impl Kept {
    /// `others` are kept elsewhere.
    fn of(extensions: &Extensions, others: usize) -> Self {
        let count = extensions.len().saturating_sub(others);
        if count == 0 {
            return Self::None;
        }
        #[cfg(feature = "tonic")]
        if let (1, Some(method)) = (count, extensions.get::<tonic::GrpcMethod>()) {
            return Self::Method(method.clone());
        }
        Self::All(extensions.clone())
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
