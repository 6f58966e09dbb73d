//! Child processes that end with the program.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::Failure;

/// How long a process may take to start.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(10);

/// A port of loopback that nothing listens on.
///
/// # Errors
///
/// If no socket can be bound.
pub fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// A child process, the leader of a process group, all of which is killed on drop.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    group: Pid,
    output: PathBuf,
}

impl Process {
    /// Starts `command`. Its output goes to `<name>.log` in `folder`, after that of earlier ones.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or the process not started.
    pub fn start(name: &str, command: &mut Command, folder: &Path) -> Result<Self, Failure> {
        let output = folder.join(format!("{name}.log"));
        let file = File::options().create(true).append(true).open(&output)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{name} does not start: {error}"))?;
        let group = child.id().and_then(|it| Pid::from_raw(it.cast_signed()));
        Ok(Self {
            name: name.to_owned(),
            child,
            group: group.ok_or("a child without a process id")?,
            output,
        })
    }

    /// Waits until the process accepts connections on a port of loopback.
    ///
    /// # Errors
    ///
    /// If the process ends before, or half a minute is over.
    pub async fn accepts(&mut self, port: u16) -> Result<(), Failure> {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            self.still_starting(start, &format!("accepts on port {port}"))?;
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Waits until a line of the output contains `text`.
    ///
    /// # Errors
    ///
    /// If the process ends before, or half a minute is over.
    pub async fn says(&mut self, text: &str) -> Result<(), Failure> {
        let start = Instant::now();
        while !self.read_output().contains(text) {
            self.still_starting(start, &format!("says {text:?}"))?;
            sleep(POLL).await;
        }
        Ok(())
    }

    fn still_starting(&mut self, start: Instant, wanted: &str) -> Result<(), Failure> {
        let ended = self.child.try_wait()?;
        if ended.is_none() && start.elapsed() < PATIENCE {
            return Ok(());
        }
        let state = ended.map_or("still runs".to_owned(), |it| format!("ended: {it}"));
        let output = self.read_output();
        let tail = output.lines().rev().take(20).collect::<Vec<_>>();
        let tail = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
        Err(format!("{} never {wanted}; it {state}\n{tail}", self.name).into())
    }

    /// What the process wrote so far, and earlier ones of its name.
    #[must_use]
    pub fn read_output(&self) -> String {
        let bytes = std::fs::read(&self.output).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    ///
    /// If the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        if self.child.id().is_none() {
            return Err(format!("{} is gone", self.name).into());
        }
        Ok(kill_process(self.group, signal)?)
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    ///
    /// If the process is gone.
    pub fn terminate(&self) -> Result<(), Failure> {
        self.signal(Signal::TERM)
    }

    /// Kills the whole process group with SIGKILL, and waits for the end of its leader.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub async fn kill(&mut self) -> Result<(), Failure> {
        self.kill_group();
        self.child.wait().await?;
        Ok(())
    }

    /// Waits for the process to end, at most so long.
    ///
    /// # Errors
    ///
    /// If it still runs then.
    pub async fn ended(&mut self, patience: Duration) -> Result<ExitStatus, Failure> {
        match timeout(patience, self.child.wait()).await {
            Ok(ended) => Ok(ended?),
            Err(_) => Err(format!("{} still runs after {patience:?}", self.name).into()),
        }
    }

    fn kill_group(&self) {
        // Once the leader is reaped its id may be another process's.
        if self.child.id().is_some() {
            let _gone = kill_process_group(self.group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_group();
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::test_kill_process_group;

    use super::*;

    fn shell(script: &str, folder: &Path) -> Result<Process, Failure> {
        Process::start("shell", Command::new("sh").arg("-c").arg(script), folder)
    }

    #[tokio::test]
    async fn all_of_its_group_is_killed_with_it() -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let mut process = shell("sleep 60 & echo ready; sleep 60", folder.path())?;
        process.says("ready").await?;
        let group = process.group;
        drop(process);
        let start = Instant::now();
        while test_kill_process_group(group).is_ok() {
            assert!(start.elapsed() < PATIENCE, "the group still runs");
            sleep(POLL).await;
        }
        Ok(())
    }

    #[tokio::test]
    async fn one_that_ends_too_early_is_an_error_with_its_last_words() -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let mut process = shell("echo no config >&2; exit 3", folder.path())?;
        let error = process.accepts(free_port()?).await.unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert!(error.contains("no config"), "{error}");
        Ok(())
    }
}
