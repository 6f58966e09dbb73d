//! What Envoy is told.

use benches::Failure;
use http::Uri;
use serde_json::{Value, json};

use crate::envoy_parts::{address, cluster, extension};

/// The name of what it listens on.
pub(crate) const LISTENER: &str = "wire";

/// HTTP/2 on a port of the kernel's choice, to a server that speaks HTTP/2; up to three retries on
/// UNAVAILABLE, and the timeout that the other stacks have.
pub(crate) fn to(server: &Uri) -> Result<Value, Failure> {
    let (Some(host), Some(port)) = (server.host(), server.port_u16()) else {
        return Err(format!("{server} names no host and port").into());
    };
    Ok(json!({
        "admin": { "address": address("127.0.0.1", 0) },
        "static_resources": {
            "listeners": [{
                "name": LISTENER,
                "address": address("127.0.0.1", 0),
                "filter_chains": [{ "filters": [http_connections()] }],
            }],
            "clusters": [cluster(host, port)],
        },
    }))
}

fn http_connections() -> Value {
    let retry = json!({ "retry_on": "unavailable", "num_retries": 3 });
    let route = json!({ "cluster": "server", "timeout": "30s", "retry_policy": retry });
    json!({
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": extension("filters.network.http_connection_manager", "HttpConnectionManager"),
            "stat_prefix": LISTENER,
            "codec_type": "HTTP2",
            "route_config": {
                "virtual_hosts": [{
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{ "match": { "prefix": "/" }, "route": route }],
                }],
            },
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": { "@type": extension("filters.http.router", "Router") },
            }],
        },
    })
}
