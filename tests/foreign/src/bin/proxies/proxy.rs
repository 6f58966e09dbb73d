//! A proxy that runs.

use foreign::process::Process;
use tempfile::TempDir;

/// Accepts HTTP/2 without TLS on a port of loopback; ends on drop.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    // Before the folder, which it writes to.
    _process: Process,
    _folder: TempDir,
}

impl Proxy {
    pub(crate) fn new(port: u16, process: Process, folder: TempDir) -> Self {
        Self {
            port,
            _process: process,
            _folder: folder,
        }
    }
}
