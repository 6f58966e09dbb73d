use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::Deserialize;

use crate::channel::resolve::ResolvedAddress;

/// What an answer has of the instances of a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instances {
    pub(super) addresses: Vec<ResolvedAddress>,
    /// The first instance without an IP address or a port.
    pub(super) unusable: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    node: Node,
    service: Service,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Node {
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Service {
    address: String,
    port: i64,
}

/// Reads the body of an answer to `/v1/health/service/..`; an error in words.
pub(super) fn read(body: &[u8], server_name: Option<&Arc<str>>) -> Result<Instances, String> {
    let entries: Vec<Entry> = serde_json::from_slice(body).map_err(|error| {
        // Not its words: they may have a piece of the body.
        let (line, column) = (error.line(), error.column());
        format!("the agent's answer is no list of instances (line {line}, column {column})")
    })?;
    let mut addresses = Vec::with_capacity(entries.len());
    let mut unusable = None;
    for entry in &entries {
        match entry.address() {
            Some(address) => addresses.push(ResolvedAddress {
                server_name: server_name.cloned(),
                ..address.into()
            }),
            None => {
                unusable.get_or_insert_with(|| format!("{}:{}", entry.host(), entry.service.port));
            }
        }
    }
    match unusable {
        // Not "no instance": there are some, and the last addresses may be theirs.
        Some(first) if addresses.is_empty() => Err(format!(
            "no instance has an IP address and a port; the first one has {first}"
        )),
        unusable => Ok(Instances {
            addresses,
            unusable,
        }),
    }
}

impl Entry {
    /// The service's address, else its node's.
    fn host(&self) -> &str {
        match &*self.service.address {
            "" => &self.node.address,
            address => address,
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        let host = self.host();
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let ip: IpAddr = bare.unwrap_or(host).parse().ok()?;
        let port = u16::try_from(self.service.port).ok();
        let port = port.filter(|port| *port > 0)?;
        Some(SocketAddr::new(ip, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn entry(node: &str, service: &str, port: i64) -> Value {
        json!({
            "Node": { "Node": "n1", "Address": node, "Meta": null },
            "Service": { "ID": "orders-1", "Address": service, "Port": port, "Tags": ["blue"] },
            "Checks": [],
        })
    }

    fn texts(entries: &[Value]) -> Result<(Vec<String>, Option<String>), String> {
        let read = read(json!(entries).to_string().as_bytes(), None)?;
        let addresses = read.addresses.iter().map(|it| it.address.to_string());
        Ok((addresses.collect(), read.unusable))
    }

    // CONTRACT N7
    #[test]
    fn the_service_s_address_counts_else_that_of_its_node() {
        for (node, service, expected) in [
            ("10.0.0.1", "10.0.0.2", "10.0.0.2:50051"),
            ("10.0.0.1", "", "10.0.0.1:50051"),
            ("10.0.0.1", "fd00::2", "[fd00::2]:50051"),
            ("fd00::1", "", "[fd00::1]:50051"),
            ("10.0.0.1", "[fd00::2]", "[fd00::2]:50051"),
        ] {
            let (addresses, unusable) = texts(&[entry(node, service, 50051)]).unwrap();
            assert_eq!(addresses, [expected]);
            assert_eq!(unusable, None);
        }
    }

    // CONTRACT N7
    #[test]
    fn an_instance_without_an_ip_address_or_a_port_is_left_out() {
        for bad in [
            entry("10.0.0.1", "orders.internal", 50051),
            entry("10.0.0.1", "10.0.0.2", 0),
            entry("10.0.0.1", "10.0.0.2", 65_536),
            entry("", "", 50051),
            json!({ "Node": {}, "Service": {} }),
        ] {
            let (addresses, unusable) =
                texts(&[bad.clone(), entry("10.0.0.3", "", 1), bad.clone()]).unwrap();
            assert_eq!(addresses, ["10.0.0.3:1"]);
            assert!(unusable.is_some(), "{bad}");
            let error = texts(&[bad]).unwrap_err();
            assert!(
                error.starts_with("no instance has an IP address"),
                "{error}"
            );
        }
        let error = texts(&[entry("", "orders.internal", 50051)]).unwrap_err();
        assert!(error.ends_with("has orders.internal:50051"), "{error}");
    }

    // CONTRACT N7
    #[test]
    fn no_instance_is_an_answer_and_half_a_text_is_none() {
        assert_eq!(texts(&[]).unwrap(), (Vec::new(), None));
        let whole = json!([entry("10.0.0.1", "", 1)]).to_string();
        for length in 0..whole.len() {
            let error = read(&whole.as_bytes()[..length], None).unwrap_err();
            assert!(error.contains("is no list of instances"), "{error}");
        }
        for text in ["null", "{}", "[{}]", "[1]", r#"{"secret": 1}"#] {
            let error = read(text.as_bytes(), None).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_name_for_certificates_is_on_each_address() {
        let body = json!([entry("10.0.0.1", "", 1)]).to_string();
        let name: Arc<str> = "orders".into();
        let read = read(body.as_bytes(), Some(&name)).unwrap();
        assert_eq!(read.addresses[0].server_name, Some(name));
    }
}
