//! One instant at which a call ends, whatever it is doing then.

mod busy_service;
mod early_expiry;
mod expiry;
mod grpc_timeout;
mod parent_call;
mod phases;
mod response;
mod retried_expiry;
mod timeouts;
