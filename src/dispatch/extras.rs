use http::Extensions;

use crate::call::Context;

/// What a generated client puts into each request.
#[cfg(feature = "tonic")]
type Generated = tonic::GrpcMethod<'static>;
#[cfg(not(feature = "tonic"))]
type Generated = ();

/// The extensions besides the context.
pub(crate) enum Extras {
    None,
    Method(Generated),
    All(Extensions),
}

impl Extras {
    /// Those of a request that has none but what generated code puts there, and so no context:
    /// found by one look.
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
            1 => extensions.get::<Generated>().cloned().map(Self::Method),
            _ => None,
        }
    }

    pub(super) fn extensions(&self) -> Extensions {
        let mut extensions = Extensions::new();
        match self {
            Self::None => {}
            Self::Method(method) => {
                extensions.insert(method.clone());
            }
            Self::All(all) => extensions.clone_from(all),
        }
        extensions
    }
}
