//! The server's mark that a request had no effect (CONTRACT I7).

use http::{HeaderMap, HeaderValue, Uri};

use super::UNPROCESSED;

/// The value of the mark for a request: its `:path`.
pub(super) fn path_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", |path| path.as_str())
}

/// The mark of a Trailers-Only failure, moved from its headers to an extension of the answer, for
/// the layer that knows the path of the request.
#[derive(Clone, Debug)]
pub(crate) struct Vouched {
    path: HeaderValue,
    /// It came over a channel of this crate, which leads to the server itself.
    is_from_channel: bool,
}

impl Vouched {
    /// Removes it from the headers; `None` if it is repeated.
    pub(crate) fn take(headers: &mut HeaderMap) -> Option<Self> {
        let is_single = headers.get_all(UNPROCESSED).iter().nth(1).is_none();
        let value = headers.remove(UNPROCESSED)?;
        is_single.then_some(Self {
            path: value,
            is_from_channel: false,
        })
    }

    /// Marks one that came over a channel of this crate.
    pub(crate) fn over_channel(self, is_from_channel: bool) -> Self {
        Self {
            is_from_channel,
            ..self
        }
    }

    /// Whether it is believed without a setting (CONTRACT I7).
    pub(crate) fn is_from_channel(&self) -> bool {
        self.is_from_channel
    }

    /// Whether it belongs to this request, and not to another call that the server made for it.
    pub(crate) fn is_of(&self, uri: &Uri) -> bool {
        let path = path_of(uri);
        !path.is_empty() && self.path == *path
    }
}

/// The source of a status by which a handler says that the request had no effect. Nothing on the
/// wire can make one, so a status of another server can't say it.
#[cfg(feature = "server")]
#[derive(Debug, thiserror::Error)]
#[error("the request had no effect")]
pub(crate) struct NoEffect;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_static(value));
        values.map(|value| (UNPROCESSED, value)).collect()
    }

    // CONTRACT I7
    #[test]
    fn the_word_counts_for_the_call_s_own_path_and_said_once() {
        let uri: Uri = "http://orders.test/kv.v1.Kv/Put".parse().unwrap();
        for (values, counts) in [
            (&["/kv.v1.Kv/Put"][..], true),
            (&["/kv.v1.Kv/Put", "/kv.v1.Kv/Put"], false),
            (&["/kv.v1.Kv/Put", "/kv.v1.Kv/Get"], false),
            (&["/kv.v1.Kv/Get"], false),
            (&["/kv.v1.Kv/Put?a=1"], false),
            (&["/KV.v1.Kv/Put"], false),
            (&["/kv.v1.Kv/Pu"], false),
            (&["true"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = headers(values);
            let vouched = Vouched::take(&mut headers);
            let is_of = vouched.is_some_and(|vouched| vouched.is_of(&uri));
            assert_eq!(is_of, counts, "{values:?}");
            assert!(headers.is_empty());
        }
        let none: Uri = "orders.test:80".parse().unwrap();
        let vouched = Vouched::take(&mut headers(&[""]));
        assert!(!vouched.unwrap().is_of(&none));
    }
}
