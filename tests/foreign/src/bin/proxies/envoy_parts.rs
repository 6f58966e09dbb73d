//! Parts of Envoy's configuration; `benches/wire` has them too.

use serde_json::{Value, json};

pub(crate) fn address(host: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": host, "port_value": port } })
}

/// A cluster by the name of `server`: one server that speaks HTTP/2.
pub(crate) fn cluster(host: &str, port: u16) -> Value {
    let endpoint = json!({ "endpoint": { "address": address(host, port) } });
    json!({
        "name": "server",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "server",
            "endpoints": [{ "lb_endpoints": [endpoint] }],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": extension("upstreams.http", "HttpProtocolOptions"),
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        },
    })
}

/// The type of a message of Envoy's.
pub(crate) fn extension(package: &str, message: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.{package}.v3.{message}")
}
