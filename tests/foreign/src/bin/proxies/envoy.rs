//! Envoy in front of the server.

use std::fs;
use std::path::Path;

use foreign::Failure;
use foreign::process::{Process, free_port};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::envoy_parts::{address, cluster, extension};
use crate::proxy::Proxy;

/// When it ends the connections that it accepted.
pub(crate) enum Ageing {
    Never,
    /// Its `max_requests_per_connection`.
    Requests(u32),
    /// Its `max_connection_duration`, after which it drains for 50 ms.
    Duration(&'static str),
}

pub(crate) async fn start(program: &Path, server: u16, ageing: &Ageing) -> Result<Proxy, Failure> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let file = folder.path().join("envoy.json");
    fs::write(&file, config(port, server, ageing).to_string())?;
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(file)
        .args(["--concurrency", "1", "--disable-hot-restart"])
        .args(["--log-level", "warning"]);
    let mut process = Process::start("envoy", &mut command, folder.path())?;
    process.accepts(port).await?;
    Ok(Proxy::new(port, process, folder))
}

fn config(port: u16, server: u16, ageing: &Ageing) -> Value {
    json!({
        "static_resources": {
            "listeners": [{
                "address": address("127.0.0.1", port),
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": connections(ageing),
                }] }],
            }],
            "clusters": [cluster("127.0.0.1", server)],
        },
    })
}

fn connections(ageing: &Ageing) -> Value {
    let mut config = json!({
        "@type": extension("filters.network.http_connection_manager", "HttpConnectionManager"),
        "stat_prefix": "in",
        "codec_type": "HTTP2",
        "route_config": { "virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "server" } }],
        }] },
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": extension("filters.http.router", "Router") },
        }],
    });
    let settings = match ageing {
        Ageing::Never => json!({}),
        Ageing::Requests(count) => json!({
            "common_http_protocol_options": { "max_requests_per_connection": count },
        }),
        Ageing::Duration(duration) => json!({
            "common_http_protocol_options": { "max_connection_duration": duration },
            "drain_timeout": "0.05s",
        }),
    };
    if let (Some(config), Value::Object(settings)) = (config.as_object_mut(), settings) {
        config.extend(settings);
    }
    config
}
