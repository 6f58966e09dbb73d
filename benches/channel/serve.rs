//! The server, as a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use benches::{Failure, server};

use crate::awake::Awake;
use crate::echo::Echo;

/// Serves until standard input ends, and keeps the processors awake meanwhile: what that takes is
/// no time of the client's process.
pub(crate) fn run(threads: usize) -> Result<(), Failure> {
    let _awake = Awake::start()?;
    println!("{}", server::start_on(threads, Echo::default())?);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(())
}

/// A server that lives as long as this.
pub(crate) struct Server {
    process: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(threads: usize) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = process.stdout.take().ok_or("the server says nothing")?;
        let mut address = String::new();
        BufReader::new(said).read_line(&mut address)?;
        let address = address.trim().to_owned();
        Ok(Self { process, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
