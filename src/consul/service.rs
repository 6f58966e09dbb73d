use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::check::{Check, Kind};

/// An instance of a service, as it is registered.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) tags: Vec<String>,
    pub(super) meta: BTreeMap<String, String>,
    pub(super) check: Check,
    pub(super) deregister_critical_after: Duration,
}

/// What tells the agent that the check passes.
const PASSING: &[u8] = br#"{"Status": "passing", "Output": "the server says so"}"#;
/// The longest time in which it is not noticed that the agent has forgotten the server.
const MOST_PAUSE: Duration = Duration::from_secs(5);

impl Service {
    /// Registers it, and replaces what was registered under its id.
    pub(super) fn registering() -> &'static str {
        "/v1/agent/service/register?replace-existing-checks=true"
    }

    pub(super) fn deregistering(&self) -> String {
        format!("/v1/agent/service/deregister/{}", escaped(&self.id))
    }

    /// Looks whether the agent knows it.
    pub(super) fn looking(&self) -> String {
        format!("/v1/agent/service/{}", escaped(&self.id))
    }

    /// What reports for a TTL: a path and a body. `None`: the agent asks by itself.
    pub(super) fn reporting(&self) -> Option<(String, Bytes)> {
        let Kind::Ttl { .. } = self.check.kind else {
            return None;
        };
        let path = format!("/v1/agent/check/update/{}", escaped(&self.check_id()));
        Some((path, Bytes::from_static(PASSING)))
    }

    /// Between two reports, or two looks whether the agent has forgotten it.
    pub(super) fn pause(&self) -> Duration {
        (self.check.period() / 3).min(MOST_PAUSE)
    }

    pub(super) fn body(&self) -> Bytes {
        let body = json!({
            "ID": self.id,
            "Name": self.name,
            "Address": self.address.ip().to_string(),
            "Port": self.address.port(),
            "Tags": self.tags,
            "Meta": self.meta,
            "Check": self.check(),
        });
        body.to_string().into()
    }

    fn check_id(&self) -> String {
        format!("service:{}", self.id)
    }

    fn check(&self) -> Value {
        let mut check = match self.check.kind {
            Kind::Grpc { interval } => {
                let address = match &self.check.service {
                    Some(name) => format!("{}/{name}", self.address),
                    None => self.address.to_string(),
                };
                json!({ "GRPC": address, "Interval": go(interval) })
            }
            // It serves, or it would not register.
            Kind::Ttl { ttl } => json!({ "TTL": go(ttl), "Status": "passing" }),
        };
        if let Value::Object(fields) = &mut check {
            let after = go(self.deregister_critical_after);
            fields.insert("CheckID".into(), self.check_id().into());
            fields.insert("Name".into(), "the server is well".into());
            fields.insert("DeregisterCriticalServiceAfter".into(), after.into());
        }
        check
    }
}

fn escaped(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}

/// A duration as Go reads it.
fn go(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(check: Check) -> Service {
        Service {
            id: "a/b".into(),
            name: "orders".into(),
            address: "[fd00::1]:50051".parse().unwrap(),
            tags: vec!["blue".into()],
            meta: [("version".into(), "1".into())].into(),
            check,
            deregister_critical_after: Duration::from_secs(600),
        }
    }

    fn body(service: &Service) -> Value {
        serde_json::from_slice(&service.body()).unwrap()
    }

    #[test]
    fn the_body_is_what_an_agent_reads() {
        let service = service(Check::ttl(Duration::from_secs(15)));
        let expected = json!({
            "ID": "a/b",
            "Name": "orders",
            "Address": "fd00::1",
            "Port": 50051,
            "Tags": ["blue"],
            "Meta": { "version": "1" },
            "Check": {
                "CheckID": "service:a/b",
                "Name": "the server is well",
                "TTL": "15000ms",
                "Status": "passing",
                "DeregisterCriticalServiceAfter": "600000ms",
            },
        });
        assert_eq!(body(&service), expected);
        let (path, _) = service.reporting().unwrap();
        assert_eq!(path, "/v1/agent/check/update/service%3Aa%2Fb");
        assert_eq!(
            service.deregistering(),
            "/v1/agent/service/deregister/a%2Fb"
        );
        assert_eq!(service.looking(), "/v1/agent/service/a%2Fb");
    }

    #[test]
    fn a_grpc_check_starts_as_failed_and_has_the_name_that_is_asked_for() {
        let check = Check::grpc(Duration::from_secs(2));
        let whole = body(&service(check.clone()));
        assert_eq!(whole["Check"]["GRPC"], "[fd00::1]:50051");
        assert_eq!(whole["Check"]["Interval"], "2000ms");
        assert_eq!(whole["Check"]["Status"], Value::Null);
        let named = service(check.service("orders.v1.Orders"));
        assert_eq!(
            body(&named)["Check"]["GRPC"],
            "[fd00::1]:50051/orders.v1.Orders"
        );
        assert!(named.reporting().is_none());
    }

    #[test]
    fn it_reports_three_times_in_its_time_and_looks_every_5_s_at_least() {
        for (check, pause) in [
            (Check::ttl(Duration::from_secs(3)), Duration::from_secs(1)),
            (Check::ttl(Duration::from_secs(60)), Duration::from_secs(5)),
            (Check::grpc(Duration::from_secs(60)), Duration::from_secs(5)),
        ] {
            assert_eq!(service(check).pause(), pause);
        }
    }
}
