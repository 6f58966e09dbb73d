//! Where the addresses of a target come from.
//!
//! A [`Resolver`] answers with all addresses of a target at one time, and answers again when they
//! change. The targets of [`Channel::builder`](super::Channel::builder) bring their own; these are
//! for addresses from elsewhere:
//!
//! | resolver | addresses |
//! |---|---|
//! | [`Fixed`] | never change |
//! | [`Watched`] | a `tokio::sync::watch` channel has them |
//! | [`Changes`] | come and go as tower's `Change`s, as in tonic's `balance_channel` |
//! | [`Multi`] | the union of several resolvers |
//!
//! What the channel makes of the answers:
//!
//! | answer | effect |
//! |---|---|
//! | addresses | they are the set; an address that stays keeps its connection |
//! | [`ResolveError`] | the last set stays for as long as the error lasts |
//! | an authoritative error, or no address | the last set stays for 60 s, then calls fail |
//! | any failure before the first set | calls wait, or fail with the error's words |
//! | `Ready(None)` | no other answer follows, the last one stands |
//!
//! # Names
//!
//! With the feature `dns`, a name is looked up again when the TTL of its records is over, which is
//! taken as 5 s at least and 5 min at most, and shortened by up to 10 % at random. A and AAAA
//! records count together; a truncated answer is asked for over TCP. Without the feature, the
//! system's resolver is asked every 30 s. It tells no TTL, and not whether a name does not exist,
//! so its failures keep the last addresses for as long as they last.
//!
//! After a failure the next lookup is 1 s later, then x1.6 up to 2 min, +-20 %; after the answer
//! that there is no address, up to 4.1 s, so that a name that is back within 50 s costs no call.
//! Otherwise lost connections and failed dials bring it forward, at most once a second with a burst
//! of 2.
//!
//! # Consul
//!
//! With the feature `consul`, the target `consul://agent:8500/orders` follows a service; without an
//! agent, as in `consul:///orders`, it is the local one at `127.0.0.1:8500`. Each query waits at
//! the agent, so that a change is heard of within milliseconds.
//!
//! | parameter | meaning |
//! |---|---|
//! | `tag=blue` | instances with this tag; it may stand several times, and all must be there |
//! | `passing=false` | those too whose checks fail; by default only instances that pass |
//! | `dc=eu` | of this datacenter; by default the agent's |
//! | `near=_agent` | in the order of their distance |
//! | `ns=team` | of this namespace |
//! | `filter=..` | what Consul's filter expression matches, percent-encoded |
//! | `stale`, `consistent` | how far Consul's servers may be behind; by default its own way |
//! | `wait=5m` | how long a query waits, 1 s to 10 min; default 5 min |
//!
//! The address is the service's, or its node's if it has none; both IPv4 and IPv6. An instance
//! without an IP address and a port is left out, which is an event (WARN, once). The authority is
//! the service's name, unless an [origin](super::Builder::origin) is set.
//!
//! At most one query a second is made, after a burst of 2. An agent that can't be reached or fails
//! is asked again after 250 ms, then x2 up to 30 s, with full jitter, and the last addresses stay.
//! An index that goes back, as after a restart of Consul's servers, starts anew. A query that the
//! agent does not end is given up a sixteenth of its wait and 10 s later, or when connections fail
//! and it has waited for 10 s (CONTRACT N7). An access list's token is set by
//! `Builder::consul_token`.
//!
//! The agent is asked over plain HTTP, for it is the one of the same machine, whose HTTP interface
//! is on loopback by default. An agent that takes HTTPS from other machines can have both, with
//! this in its configuration:
//!
//! ```text
//! addresses { http = "127.0.0.1"  https = "0.0.0.0" }
//! ports { http = 8500  https = 8501 }
//! ```
//!
//! Where there is no agent on the machine, put a proxy that speaks TLS on its loopback, such as
//! `stunnel` or Envoy: the token must not cross a network in the clear.

pub(super) mod again;
mod changes;
#[cfg(feature = "consul")]
mod consul;
#[cfg(feature = "dns")]
mod dns;
mod error;
mod fixed;
pub(super) mod latest;
mod multi;
mod name;
mod repeat;
mod resolution;
mod schedule;
#[cfg(any(test, not(feature = "dns")))]
mod system;
mod union;
mod watched;

use std::task::{Context, Poll};

pub use changes::Changes;
#[cfg(feature = "consul")]
pub(super) use consul::Question;
pub use error::ResolveError;
pub use fixed::Fixed;
pub use multi::Multi;
pub(super) use name::{Name, ResolveSettings};
pub use resolution::{Resolution, ResolvedAddress};
pub use watched::Watched;

/// Where the addresses of a target come from.
///
/// ```
/// use grpc_resilience::channel::resolve::{Resolution, ResolveError, Resolver};
/// use std::net::SocketAddr;
/// use std::task::{Context, Poll, ready};
/// use tokio::sync::mpsc;
///
/// /// Addresses from a channel of tokio's.
/// struct Told(mpsc::Receiver<Vec<SocketAddr>>);
///
/// impl Resolver for Told {
///     fn poll_resolution(
///         &mut self,
///         cx: &mut Context<'_>,
///     ) -> Poll<Option<Result<Resolution, ResolveError>>> {
///         let addresses = ready!(self.0.poll_recv(cx));
///         Poll::Ready(addresses.map(|addresses| Ok(addresses.into_iter().collect())))
///     }
/// }
/// ```
pub trait Resolver: Send + 'static {
    /// The next answer. The channel's task alone calls this, within its runtime.
    ///
    /// `Ready(None)`: no other answer follows, the last one stands, and this is not called again.
    /// `Pending`: the waker of `cx` is woken when it has to be called again.
    fn poll_resolution(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Resolution, ResolveError>>>;

    /// Asks for a new answer soon: connections were lost or dials failed, so the addresses may be
    /// stale (CONTRACT N5).
    ///
    /// The channel calls this at most once a second, with a burst of 2. The default does nothing,
    /// for resolvers that hear of each change by themselves.
    fn resolve_again(&mut self) {}
}

impl<R: Resolver + ?Sized> Resolver for Box<R> {
    fn poll_resolution(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Resolution, ResolveError>>> {
        (**self).poll_resolution(cx)
    }

    fn resolve_again(&mut self) {
        (**self).resolve_again();
    }
}
