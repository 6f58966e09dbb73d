//! nginx in front of the server, without privileges, in a folder of its own.

use std::fs;
use std::path::Path;

use foreign::Failure;
use foreign::process::{Process, free_port};
use tokio::process::Command;

use crate::proxy::Proxy;

const NEVER: u32 = 1_000_000_000;

/// Starts an nginx that ends a connection after `requests`.
pub(crate) async fn start(
    program: &Path,
    server: u16,
    requests: Option<u32>,
) -> Result<Proxy, Failure> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    fs::write(
        folder.path().join("nginx.conf"),
        config(port, server, requests.unwrap_or(NEVER)),
    )?;
    let mut command = Command::new(program);
    command
        .args(["-c", "nginx.conf", "-e", "stderr", "-p"])
        .arg(folder.path());
    let mut process = Process::start("nginx", &mut command, folder.path())?;
    process.accepts(port).await?;
    Ok(Proxy::new(port, process, folder))
}

/// One process, with all its files in its folder.
///
/// nginx keeps its connections to the server, because a new one for each call uses up the ports. It
/// repeats no call, so that each repetition is the client's.
fn config(port: u16, server: u16, requests: u32) -> String {
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|it| format!("  {it}_temp_path {it};\n"))
        .concat();
    format!(
        "daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
{folders}  access_log off;
  upstream server {{
    server 127.0.0.1:{server};
    keepalive 64;
    keepalive_requests {NEVER};
  }}
  server {{
    listen 127.0.0.1:{port} http2;
    keepalive_requests {requests};
    location / {{
      grpc_pass grpc://server;
      grpc_next_upstream off;
    }}
  }}
}}
"
    )
}
