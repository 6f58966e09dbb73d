use std::collections::{HashMap, HashSet};

use crate::Failure;
use crate::scenarios::Server;

/// The command line: `server=address` for each server, the rest are scenarios.
pub(crate) struct Args {
    addresses: HashMap<String, String>,
    wanted: HashSet<String>,
}

impl Args {
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let (servers, wanted): (Vec<_>, Vec<_>) = args.partition(|arg| arg.contains('='));
        let addresses: HashMap<_, _> = servers
            .iter()
            .filter_map(|arg| arg.split_once('='))
            .map(|(server, address)| (server.to_owned(), address.to_owned()))
            .collect();
        if addresses.is_empty() {
            return Err("usage: interop-client SERVER=ADDRESS.. [SCENARIO..]".into());
        }
        let wanted = wanted.into_iter().collect();
        Ok(Self { addresses, wanted })
    }

    /// Without a name, every scenario is wanted.
    pub(crate) fn wants(&self, scenario: &str) -> bool {
        self.wanted.is_empty() || self.wanted.contains(scenario)
    }

    pub(crate) fn address(&self, server: Server) -> Result<&str, Failure> {
        let missing = || format!("no address was given for the server '{}'", server.name());
        let address = self.addresses.get(server.name()).ok_or_else(missing)?;
        Ok(address)
    }
}
