use std::hash::BuildHasher as _;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, TE, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Request, Uri, Version};
use rustc_hash::FxBuildHasher;
use tokio::time::Instant;

use crate::call::Deadline;
use crate::grpc::TIMEOUT;

/// What a request's head becomes on the wire.
#[derive(Debug)]
pub(crate) struct Heads {
    scheme: Scheme,
    authority: Authority,
    user_agent: HeaderValue,
    timeout: LastTimeout,
}

/// Headers that are about a connection of HTTP/1, and `content-length`, which gRPC does not have.
const STRIPPED: [&str; 6] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "keep-alive",
    "proxy-connection",
];

/// Headers with another value in each call. As sensitive ones they are never put into HPACK's
/// dynamic table, where each new value would drive out the headers that repeat, and where the
/// encoder compares it with all former ones: some 4,000 instructions of a call.
const UNIQUE: [&str; 2] = ["traceparent", "x-request-id"];

/// The hash of the last call's `grpc-timeout`. All calls that have the default timeout and did not
/// wait send the same value, which HPACK writes as one byte. Any other value is as unique as the
/// [`UNIQUE`] headers, and stays out of the table like them.
#[derive(Debug, Default)]
struct LastTimeout(AtomicU64);

impl LastTimeout {
    /// Notes this call's value. Returns whether the last call sent the same.
    fn repeats(&self, value: &HeaderValue) -> bool {
        let hash = FxBuildHasher.hash_one(value.as_bytes());
        let repeats = self.0.load(Ordering::Relaxed) == hash;
        if !repeats {
            self.0.store(hash, Ordering::Relaxed);
        }
        repeats
    }
}

impl Heads {
    pub(crate) fn new(scheme: Scheme, authority: Authority, user_agent: HeaderValue) -> Self {
        Self {
            scheme,
            authority,
            user_agent,
            timeout: LastTimeout::default(),
        }
    }

    /// The head as h2 sends it: with the origin of the channel, without headers of a connection,
    /// and with the user's `user-agent` first (CONTRACT C12).
    pub(crate) fn prepare(&self, head: &mut Request<()>) {
        let headers = head.headers_mut();
        let given = Given::of(headers, &self.timeout);
        given.strip(headers);
        self.sign(headers, &given);
        let uri = mem::take(head.uri_mut());
        *head.uri_mut() = self.place(uri);
        *head.version_mut() = Version::HTTP_2;
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

    fn sign(&self, headers: &mut HeaderMap, given: &Given) {
        let user = given.has_agent.then(|| headers.get(USER_AGENT));
        let Some(user) = user.flatten() else {
            headers.insert(USER_AGENT, self.user_agent.clone());
            return;
        };
        let both = [user.as_bytes(), b" ", self.user_agent.as_bytes()].concat();
        if let Ok(both) = HeaderValue::from_bytes(&both) {
            headers.insert(USER_AGENT, both);
        }
    }
}

/// Writes what is left of the call's time, after it has waited.
pub(crate) fn stamp(head: &mut Request<()>, deadline: Deadline) {
    deadline.stamp(head.headers_mut(), Instant::now());
    if let Some(value) = head.headers_mut().get_mut(TIMEOUT) {
        value.set_sensitive(true);
    }
}

/// Which headers of a request the channel writes or strips, found in one pass: most requests have
/// none of them.
#[derive(Default)]
struct Given {
    is_stripped: bool,
    has_other_te: bool,
    has_agent: bool,
}

impl Given {
    /// Marks the unique ones in the same pass.
    fn of(headers: &mut HeaderMap, timeout: &LastTimeout) -> Self {
        let mut given = Self::default();
        for (name, value) in headers {
            // Those of every call first: names that the `http` crate knows are compared at once.
            if *name == CONTENT_TYPE {
                continue;
            }
            if *name == TE {
                given.has_other_te |= value != "trailers";
            } else if *name == USER_AGENT {
                given.has_agent = true;
            } else if *name == TIMEOUT {
                value.set_sensitive(!timeout.repeats(value));
            } else {
                let name = name.as_str();
                given.is_stripped |= STRIPPED.contains(&name);
                if UNIQUE.contains(&name) {
                    value.set_sensitive(true);
                }
            }
        }
        given
    }

    fn strip(&self, headers: &mut HeaderMap) {
        if self.has_other_te {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if !self.is_stripped {
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
        for name in STRIPPED {
            headers.remove(name);
        }
        for name in &named {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn heads() -> Heads {
        Heads::new(
            Scheme::HTTP,
            Authority::from_static("orders.test:50051"),
            HeaderValue::from_static("grpc-resilience/1"),
        )
    }

    fn prepared(headers: &[(&'static str, &'static str)]) -> Request<()> {
        prepared_by(&heads(), headers)
    }

    fn prepared_by(heads: &Heads, headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::post("/orders.v1.Orders/Get").body(()).unwrap();
        for (name, value) in headers {
            let value = HeaderValue::from_static(value);
            request.headers_mut().append(*name, value);
        }
        heads.prepare(&mut request);
        request
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

    #[test]
    fn headers_that_differ_in_each_call_stay_out_of_the_table_of_headers() {
        let mut head = prepared(&[("grpc-timeout", "29999871u"), ("x-kept", "1")]);
        assert!(head.headers()["grpc-timeout"].is_sensitive());
        assert!(!head.headers()["x-kept"].is_sensitive());
        stamp(
            &mut head,
            Deadline::after(Instant::now(), Duration::from_secs(9)),
        );
        assert!(head.headers()["grpc-timeout"].is_sensitive());
    }

    #[test]
    fn a_timeout_that_the_last_call_had_too_goes_into_the_table_of_headers() {
        let heads = heads();
        let is_kept_out = |timeout| {
            let head = prepared_by(&heads, &[("grpc-timeout", timeout)]);
            head.headers()["grpc-timeout"].is_sensitive()
        };
        let timeouts = ["5000000u", "5000000u", "5000000u", "4999871u", "5000000u"];
        let kept_out = timeouts.map(is_kept_out);
        assert_eq!(kept_out, [true, false, false, true, true]);
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
