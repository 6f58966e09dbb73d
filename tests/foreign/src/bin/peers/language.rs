use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use tokio::process::Command;

/// What a server is written in; each has its own implementation of gRPC.
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

impl Language {
    /// The command that starts this server, without its options.
    pub(crate) fn command(self, built: &Path, sources: &Path) -> Command {
        match self {
            Self::Go => Command::new(built.join("go/server")),
            Self::Java => {
                let java = built.join("java");
                let path = [java.join("classes"), java.join("lib/*")];
                let path = path.map(PathBuf::into_os_string).join(":".as_ref());
                let mut command = Command::new("java");
                command.arg("-cp").arg(path).arg("peer.Server");
                command
            }
            Self::Node => {
                let mut command = Command::new("node");
                command
                    .env("NODE_PATH", built.join("node/node_modules"))
                    .arg(sources.join("node/server.js"));
                command
            }
            Self::Python => {
                let mut command = Command::new(built.join("python/bin/python"));
                command.arg("-B").arg(sources.join("python/server.py"));
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
