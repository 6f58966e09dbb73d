use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, Uri, Version};

/// What a request's head becomes on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Heads {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) user_agent: HeaderValue,
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that are about a connection of HTTP/1, and `content-length`, which gRPC does not have.
const STRIPPED: [HeaderName; 6] = [
    CONNECTION,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    UPGRADE,
    KEEP_ALIVE,
    PROXY_CONNECTION,
];

impl Heads {
    /// The head as h2 sends it: with the origin of the channel, without headers of a connection,
    /// and with the user's `user-agent` first (CONTRACT C12).
    pub(crate) fn prepare(&self, parts: Parts) -> Request<()> {
        let Parts {
            method,
            uri,
            mut headers,
            ..
        } = parts;
        strip(&mut headers);
        self.sign(&mut headers);
        let mut head = Request::new(());
        *head.method_mut() = method;
        *head.uri_mut() = self.place(uri);
        *head.version_mut() = Version::HTTP_2;
        *head.headers_mut() = headers;
        head
    }

    fn place(&self, uri: Uri) -> Uri {
        let mut parts = uri.into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts
            .path_and_query
            .get_or_insert_with(|| http::uri::PathAndQuery::from_static("/"));
        // All three parts are there.
        Uri::from_parts(parts).unwrap_or_default()
    }

    fn sign(&self, headers: &mut HeaderMap) {
        let Some(user) = headers.get(USER_AGENT) else {
            headers.insert(USER_AGENT, self.user_agent.clone());
            return;
        };
        let both = [user.as_bytes(), b" ", self.user_agent.as_bytes()].concat();
        if let Ok(both) = HeaderValue::from_bytes(&both) {
            headers.insert(USER_AGENT, both);
        }
    }
}

/// One pass: most requests have none of these.
fn strip(headers: &mut HeaderMap) {
    let (mut is_stripped, mut has_other_te) = (false, false);
    for (name, value) in &*headers {
        is_stripped |= STRIPPED.contains(name);
        has_other_te |= name == TE && value != "trailers";
    }
    if has_other_te {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if !is_stripped {
        return;
    }
    // Headers that `connection` names are of the connection, too (RFC 9110 section 7.6.1).
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != TE)
        .collect();
    for name in STRIPPED.iter().chain(&named) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(headers: &[(&'static str, &'static str)]) -> Request<()> {
        let heads = Heads {
            scheme: Scheme::HTTP,
            authority: Authority::from_static("orders.test:50051"),
            user_agent: HeaderValue::from_static("grpc-resilience/1"),
        };
        let mut request = Request::post("/orders.v1.Orders/Get").body(()).unwrap();
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            request.headers_mut().append(*name, value);
        }
        heads.prepare(request.into_parts().0)
    }

    fn names(head: &Request<()>) -> Vec<&str> {
        let mut names: Vec<_> = head.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    // CONTRACT C12
    #[test]
    fn the_origin_is_the_channel_s_and_the_path_the_call_s() {
        let head = prepared(&[]);
        let expected = "http://orders.test:50051/orders.v1.Orders/Get";
        assert_eq!(head.uri().to_string(), expected);
    }

    // CONTRACT C9, C12
    #[test]
    fn headers_of_a_connection_are_stripped_and_te_is_kept() {
        let head = prepared(&[
            ("te", "trailers"),
            ("connection", "close, x-hop, te"),
            ("x-hop", "1"),
            ("keep-alive", "1"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("content-length", "5"),
            ("x-kept", "1"),
        ]);
        assert_eq!(names(&head), ["te", "user-agent", "x-kept"]);
        assert_eq!(
            prepared(&[("te", "gzip, trailers")]).headers()[TE],
            "trailers"
        );
    }

    // CONTRACT C12
    #[test]
    fn the_user_s_agent_comes_first() {
        let agent = |headers: &[_]| prepared(headers).headers()[USER_AGENT].clone();
        assert_eq!(agent(&[]), "grpc-resilience/1");
        assert_eq!(
            agent(&[("user-agent", "mine/2")]),
            "mine/2 grpc-resilience/1"
        );
    }
}
