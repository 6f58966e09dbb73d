use std::fmt;
use std::sync::Arc;

use http::uri::Authority;

/// Where the HTTP interface of an agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AgentAddress {
    /// A name or an IP address, without brackets.
    host: Arc<str>,
    port: u16,
}

const PORT: u16 = 8500;

impl AgentAddress {
    /// Reads `host`, `host:port` or `[::1]:port`; an error in words. Nothing at all is the local
    /// agent.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        // It might be a password, so it is not shown.
        if text.contains('@') {
            return Err("the address of a Consul agent has no user: a token has a setter".into());
        }
        let no_address = || {
            format!("`{text}` is no address of a Consul agent: write `host:port`, without a scheme")
        };
        let authority: Authority = text.parse().map_err(|_| no_address())?;
        let port = authority.port_u16().filter(|port| *port > 0);
        let host = authority.host();
        // `host` alone, or a port that is one: `http` takes `a:` and `a:99999`, too.
        if host.is_empty() || (port.is_none() && host != text) {
            return Err(no_address());
        }
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        Ok(Self {
            host: bare.unwrap_or(host).into(),
            port: port.unwrap_or(PORT),
        })
    }

    pub(super) fn dial(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

/// The local agent's.
impl Default for AgentAddress {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: PORT,
        }
    }
}

/// As the `host` of a request has it.
impl fmt::Display for AgentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT N7
    #[test]
    fn an_agent_is_a_host_with_or_without_a_port() {
        for (text, shown) in [
            ("", "127.0.0.1:8500"),
            ("consul.internal", "consul.internal:8500"),
            ("consul:80", "consul:80"),
            ("10.0.0.1:8501", "10.0.0.1:8501"),
            ("[::1]:8500", "[::1]:8500"),
            ("[fd00::1]", "[fd00::1]:8500"),
        ] {
            assert_eq!(AgentAddress::parse(text).unwrap().to_string(), shown);
        }
        let address = AgentAddress::parse("[::1]:9").unwrap();
        assert_eq!(address.dial(), ("::1", 9));
    }

    // CONTRACT N7
    #[test]
    fn what_is_no_address_is_an_error() {
        for text in [
            "a:",
            "a:0",
            "a:99999",
            "http://a:8500",
            "a b",
            "::1",
            ":8500",
        ] {
            let error = AgentAddress::parse(text).unwrap_err();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
        let error = AgentAddress::parse("user:secret@a:8500").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}
