//! Each client as a process of its own, as a user's is: of clients that share a process, one's heap
//! has the holes that another one left.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use benches::Failure;

use crate::cpu;
use crate::found::Turned;
use crate::part::Part;
use crate::turn::{Load, Turn};

/// Makes a turn of calls for each line of standard input, after one to warm up, and says what it
/// found.
pub(crate) fn run(
    part: Part,
    subject: &str,
    server: &str,
    envoy: Option<&str>,
    load: Load,
) -> Result<(), Failure> {
    let runtime = crate::runtime(part.workers())?;
    let subject = {
        let _entered = runtime.enter();
        part.subject(subject, server, envoy)?
    };
    runtime.block_on(subject.caller.run(load))?;
    for line in std::io::stdin().lines() {
        line?;
        let before = cpu::time()?;
        let turn = runtime.block_on(subject.caller.turn(load))?;
        let cpu = (cpu::time()? - before) / f64::from(load.calls);
        let Turn {
            calls_a_second,
            p50,
            p99,
        } = turn;
        println!("{calls_a_second} {p50} {p99} {cpu}");
    }
    Ok(())
}

/// A client that lives as long as this.
pub(crate) struct Client {
    pub(crate) name: &'static str,
    process: Child,
    asks: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Client {
    pub(crate) fn start(
        part: Part,
        name: &'static str,
        server: &str,
        envoy: Option<&str>,
        load: Load,
    ) -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["client", part.name(), name, server])
            .args([load.at_once.to_string(), load.calls.to_string()])
            .args(envoy)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = process.stdin.take().ok_or("the client hears nothing")?;
        let says = process.stdout.take().ok_or("the client says nothing")?;
        Ok(Self {
            name,
            process,
            asks,
            says: BufReader::new(says),
        })
    }

    /// A turn of calls.
    pub(crate) fn turn(&mut self) -> Result<Turned, Failure> {
        writeln!(self.asks, "a turn")?;
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        let said: Vec<f64> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let &[calls_a_second, p50, p99, cpu] = &said[..] else {
            return Err(format!("{}: its calls failed", self.name).into());
        };
        let turn = Turn {
            calls_a_second,
            p50,
            p99,
        };
        Ok(Turned { turn, cpu })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
