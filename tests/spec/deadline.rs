//! One instant at which a call ends, whatever it is doing then.

mod early;
mod expiry;
mod phases;
mod response;
mod retried;
mod served;
mod stubborn;
mod timeouts;
mod written;
