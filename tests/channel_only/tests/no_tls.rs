//! Without a feature of TLS, what asks for TLS is a fault that names the features.
#![cfg(test)]

use grpc_resilience::channel::{Builder, Channel, TlsConfig};
use tokio::sync::watch;

fn fault(builder: Builder) -> String {
    let error = builder.build().unwrap_err();
    let faults = error.faults();
    assert_eq!(faults.len(), 1, "{error}");
    assert!(
        error.to_string().contains("`tls-ring` or `tls-aws-lc`"),
        "{error}"
    );
    faults[0].setter().to_owned()
}

// CONTRACT N1
#[tokio::test]
async fn what_asks_for_tls_is_a_fault_that_names_the_features() {
    let target = || Channel::builder("ipv4:10.0.0.1:50051");
    assert_eq!(fault(Channel::builder("https://10.0.0.1")), "builder");
    assert_eq!(fault(target().tls_config(TlsConfig::new())), "tls_config");
    let (_settings, receiver) = watch::channel(TlsConfig::new());
    assert_eq!(fault(target().tls_config_from(receiver)), "tls_config_from");
    target().build().unwrap();
}
