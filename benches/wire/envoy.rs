//! Envoy, started as a sidecar is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command};
use std::time::Duration;

use benches::Failure;
use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::envoy_config::{self, LISTENER};

/// Looks so often whether it listens.
const TRIES: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// A running Envoy; dropped, it is killed.
pub(crate) struct Envoy {
    process: Child,
    folder: Folder,
    /// Where it listens.
    pub(crate) address: String,
}

/// Holds its files; dropped, it is removed.
struct Folder(PathBuf);

impl Envoy {
    /// Starts the one at this path in front of a server, and waits until it accepts connections.
    pub(crate) async fn start(program: &Path, server: &str) -> Result<Self, Failure> {
        let folder = Folder::new()?;
        let config = envoy_config::to(&Uri::try_from(server)?)?;
        fs::write(folder.config(), config.to_string())?;
        let log = File::create(folder.log())?;
        let process = Command::new(program)
            .arg("-c")
            .arg(folder.config())
            .arg("--admin-address-path")
            .arg(folder.admin())
            // One connection at a time is busy, and it belongs to one worker.
            .args(["--concurrency", "1", "--disable-hot-restart"])
            .args(["--log-level", "warning"])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| {
                let program = program.display();
                format!("can't run Envoy at {program}: {error}; '.ci/run envoy' installs one")
            })?;
        let mut envoy = Self {
            process,
            folder,
            address: String::new(),
        };
        envoy.address = envoy.accepting().await?;
        Ok(envoy)
    }

    /// Where it listens, once it does.
    async fn accepting(&mut self) -> Result<String, Failure> {
        for _ in 0..TRIES {
            if let Some(status) = self.process.try_wait()? {
                return Err(self.failed(&format!("ended too soon, {status}")));
            }
            if let Some(address) = self.listening().await {
                return Ok(format!("http://{address}"));
            }
            sleep(PAUSE).await;
        }
        Err(self.failed("listens to nobody"))
    }

    /// The kernel chose the ports: a file names that of the admin interface, which names the other.
    async fn listening(&self) -> Option<String> {
        let admin = fs::read_to_string(self.folder.admin()).ok()?;
        let mut admin = TcpStream::connect(admin.trim()).await.ok()?;
        let request = b"GET /listeners HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n";
        admin.write_all(request).await.ok()?;
        let mut answer = String::new();
        admin.read_to_string(&mut answer).await.ok()?;
        let of_ours =
            |line: &str| Some(line.strip_prefix(LISTENER)?.strip_prefix("::")?.to_owned());
        let address = answer.lines().find_map(of_ours)?;
        TcpStream::connect(&address).await.ok()?;
        Some(address)
    }

    fn failed(&self, how: &str) -> Failure {
        let log = fs::read_to_string(self.folder.log()).unwrap_or_default();
        eprintln!("{log}");
        format!("Envoy {how}; what it said stands above").into()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Folder {
    fn new() -> Result<Self, Failure> {
        let name = format!("envoy-{}", process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn config(&self) -> PathBuf {
        self.0.join("config.json")
    }

    fn admin(&self) -> PathBuf {
        self.0.join("admin-address")
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the target directory harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
