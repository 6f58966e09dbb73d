use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use tokio::process::Command;

/// What a server or a client is written in; each has its own implementation of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// grpc-go.
    Go,
    /// grpc-java over netty.
    Java,
    /// grpc-js.
    Node,
    /// grpcio, which is C-core.
    Python,
}

/// What each language has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Server,
    Client,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Server => "peer.Server",
            Self::Client => "peer.Client",
        }
    }
}

impl Language {
    /// The command that starts this program, without its options.
    pub(crate) fn command(self, program: Program, built: &Path, sources: &Path) -> Command {
        let name = program.name();
        match self {
            Self::Go => Command::new(built.join("go").join(name)),
            Self::Java => {
                let java = built.join("java");
                let path = [java.join("classes"), java.join("lib/*")];
                let path = path.map(PathBuf::into_os_string).join(":".as_ref());
                let mut command = Command::new("java");
                command.arg("-cp").arg(path).arg(program.class());
                command
            }
            Self::Node => {
                let mut command = Command::new("node");
                command
                    .env("NODE_PATH", built.join("node/node_modules"))
                    .arg(sources.join("node").join(name).with_extension("js"));
                command
            }
            Self::Python => {
                let mut command = Command::new(built.join("python/bin/python"));
                command
                    .arg("-B")
                    .arg("-u")
                    .arg(sources.join("python").join(name).with_extension("py"));
                command
            }
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Go => "go",
            Self::Java => "java",
            Self::Node => "node",
            Self::Python => "python",
        })
    }
}
