//! Consul: registrations of servers, and instances that a channel can't use.

use std::fmt;

use super::TARGET;

/// The first failure since all was well; or the server could not be deregistered.
#[cold]
pub(crate) fn consul_registration_failed(id: &str, error: &dyn fmt::Display) {
    tracing::warn!(
        target: TARGET, id, %error,
        "Consul's agent does not do what the registration of a server needs"
    );
}

/// The agent answers again, and knows the server.
#[cold]
pub(crate) fn consul_registration_is_back(id: &str) {
    tracing::info!(
        target: TARGET, id,
        "Consul's agent answers again, and knows the server"
    );
}

/// The agent had forgotten the server.
#[cold]
pub(crate) fn consul_registered_again(id: &str) {
    tracing::info!(
        target: TARGET, id,
        "Consul's agent had forgotten the server: it is registered again"
    );
}

/// An instance without an address that a channel can connect to; once a resolver.
#[cold]
pub(crate) fn consul_instance_unusable(service: &str, address: &str) {
    tracing::warn!(
        target: TARGET, service, address,
        "an instance in Consul has no IP address and port, so no call goes there"
    );
}
