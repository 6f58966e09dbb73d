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

pub(super) mod again;
mod changes;
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
