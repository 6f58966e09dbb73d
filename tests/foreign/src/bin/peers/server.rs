use std::path::{Path, PathBuf};
use std::time::Duration;

use foreign::Failure;
use foreign::oracle::Oracle;
use foreign::port::ReservedPort;
use foreign::process::Process;
use tempfile::TempDir;
use tokio::process::Command;

use crate::language::{Language, Program};

/// Where the servers and clients are.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    built: PathBuf,
    sources: PathBuf,
}

impl Places {
    pub(crate) fn new(built: &Path, sources: &Path) -> Result<Self, Failure> {
        let found = |folder: &Path| {
            let found = folder.canonicalize();
            found.map_err(|error| format!("{}: {error}", folder.display()))
        };
        Ok(Self {
            built: found(built)?,
            sources: found(sources)?,
        })
    }

    /// The command that starts a program, without its options.
    pub(crate) fn command(&self, language: Language, program: Program) -> Command {
        language.command(program, &self.built, &self.sources)
    }
}

/// What a server is told on its command line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    /// After how long a connection ends.
    pub(crate) age: Option<Duration>,
    /// How many bytes a message may have.
    pub(crate) limit: Option<usize>,
    /// How many streams a connection may have.
    pub(crate) streams: Option<u32>,
    /// It has a health service, which says SERVING of this one; in Go and Java.
    pub(crate) health: Option<&'static str>,
}

/// A server in a process of its own, which logs the calls that begin.
#[derive(Debug)]
pub(crate) struct Server {
    language: Language,
    places: Places,
    settings: Settings,
    port: ReservedPort,
    folder: TempDir,
    process: Process,
}

impl Server {
    /// Starts a server, and waits until it accepts connections.
    pub(crate) async fn start(
        language: Language,
        places: &Places,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let (port, folder) = (ReservedPort::new()?, tempfile::tempdir()?);
        let process = spawn(language, places, settings, port.number(), folder.path()).await?;
        Ok(Self {
            language,
            places: places.clone(),
            settings,
            port,
            folder,
            process,
        })
    }

    /// Starts the server again, on the same port and with the same log.
    pub(crate) async fn restart(&mut self) -> Result<(), Failure> {
        let folder = self.folder.path();
        let (places, settings) = (&self.places, self.settings);
        self.process = spawn(self.language, places, settings, self.port.number(), folder).await?;
        Ok(())
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Which calls began until now.
    pub(crate) fn oracle(&self) -> Result<Oracle, Failure> {
        Oracle::read(&log(self.folder.path()))
    }
}

fn log(folder: &Path) -> PathBuf {
    folder.join("begun")
}

async fn spawn(
    language: Language,
    places: &Places,
    settings: Settings,
    port: u16,
    folder: &Path,
) -> Result<Process, Failure> {
    let mut command = places.command(language, Program::Server);
    command.arg("--port").arg(port.to_string());
    command.arg("--log").arg(log(folder));
    if let Some(age) = settings.age {
        command.arg("--age").arg(age.as_millis().to_string());
    }
    if let Some(limit) = settings.limit {
        command.arg("--limit").arg(limit.to_string());
    }
    if let Some(streams) = settings.streams {
        command.arg("--streams").arg(streams.to_string());
    }
    if let Some(service) = settings.health {
        command.arg("--health").arg(service);
    }
    let mut process = Process::start(&language.to_string(), &mut command, folder)?;
    process.accepts(port).await?;
    Ok(process)
}
