//! Calls that an overloaded server would refuse are held back by the client.
//!
//! To refuse a call costs a server work, too; one that gets many times what it can serve may do
//! little else. This layer remembers how many calls it saw and how many of them the server accepted, and
//! holds new ones back with the probability `max(0, (requests - K * accepts) / (requests + 1))`. The server
//! then gets about K times what it accepts, and what is held back costs it nothing. The rule is that of
//! [Site Reliability Engineering, Handling Overload](https://sre.google/sre-book/handling-overload/):
//! client-side throttling.
//!
//! ```
//! use grpc_resilience::RetryLayer;
//! use grpc_resilience::adaptive_throttle::{AdaptiveThrottleLayer, InvalidThrottle};
//! use std::time::Duration;
//! use tonic::transport::Endpoint;
//! use tower::ServiceBuilder;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), InvalidThrottle> {
//! let channel = Endpoint::from_static("http://orders:50051").connect_lazy();
//! let throttle = AdaptiveThrottleLayer::new()
//!     .window(Duration::from_secs(30))?
//!     .shared(); // a layer, and to be looked at while calls run
//! let channel = ServiceBuilder::new()
//!     .layer(RetryLayer::default())
//!     .layer(throttle.clone())
//!     .service(channel);
//! // let mut orders = OrdersClient::new(channel);
//! assert_eq!(throttle.snapshot().shed, 0);
//! # Ok(())
//! # }
//! ```
//!
//! A call is counted when its outcome is known, at that time. So calls under way are none yet: a slow
//! server, or a burst before the first answer, is not taken for an overloaded one.
//!
//! | outcome | request | accept |
//! |---|---|---|
//! | response headers that are not Trailers-Only: the server took the call | yes | yes |
//! | then trailers with a refusing code before any message | stays | taken back |
//! | an answer with another code than a refusing one; a message too large | yes | yes |
//! | an answer with a refusing code: RESOURCE_EXHAUSTED, UNAVAILABLE; a proxy's 429, 502, 503, 504 | yes | no |
//! | no connection, a lost one, a stream that the server's transport refused | yes | no |
//! | a stream reset, or a status from a layer below, with a refusing code | yes | no |
//! | held back here | yes | no |
//! | dropped by its caller, expired, timed out; another reset; an error that is not known | no | no |
//! | failed on this side: the channel is closed, not ready, or has too many waiting calls | no | no |
//!
//! - **Reads** and **writes** nothing of the call. Changes nothing of an answer.
//! - **Defaults**: K = 2, a window of 120 s, both the book's: of many calls up to half may be refused before one
//!   is held back, so that the client soon learns of an end of the overload. RESOURCE_EXHAUSTED and
//!   UNAVAILABLE, with which servers and proxies shed load. A server that hangs instead of refusing is found
//!   with [`refused_on`](AdaptiveThrottleLayer::refused_on) DEADLINE_EXCEEDED and an attempt timeout below.
//! - **Errors**: RESOURCE_EXHAUSTED at once, for [`Reason::Throttled`](crate::classify::Reason::Throttled)
//!   and given up as [`GiveUp::Throttled`](crate::GiveUp::Throttled): never sent.
//! - **Interactions**: belongs directly below a retry layer and above wait for ready. There it hears of every
//!   attempt, and not of calls that wait for the channel. A held-back attempt is not retried, unless
//!   RESOURCE_EXHAUSTED is made retryable, and then by the policy's backoff; it takes nothing from a
//!   budget. Above a retry layer it holds back whole calls, but counts each by its last answer only: a
//!   call that was refused twice and then served is an accept. Below wait for ready it must not
//!   stand: each failed dial is a refusal there, and calls fail that should wait; one WARN event
//!   says so. In `Resilience` it is the [`attempt_layer`](crate::Resilience::attempt_layer). A
//!   quota's refusals, which say when to come back, count as refusals of an overloaded server;
//!   where a quota is all that refuses, leave RESOURCE_EXHAUSTED out with
//!   [`refused_only_on`](AdaptiveThrottleLayer::refused_only_on).
//! - **Sharing**: the clones of a service share their counts, for all methods together.
//! - **Limits**: the counts are those of one client, and few calls tell little: after a single one that was
//!   refused the next is held back with a probability of one half. It says nothing
//!   of which backend of a balanced channel refuses. And an outage is an overload to it. The
//!   table has how long after its end a client of ten calls a second, steady before, still holds calls
//!   back; one of more calls a second takes a little longer:
//!
//! | outage | window 120 s | window 10 s |
//! |---|---|---|
//! | 5 s | not at all | 4 s at most |
//! | 60 s | single calls for 60 s | as below |
//! | 90 s | about 2 min | as below |
//! | as long as the window, or longer | 6 to 12 min | 20 to 60 s |
//! | the first 5 s of the client's life | 2 to 10 min | 20 to 80 s |

mod body;
mod counts;
mod future;
mod layer;
mod policy;
mod service;
mod throttle;

pub use body::ThrottleBody;
pub use future::ResponseFuture;
pub use layer::{AdaptiveThrottleLayer, InvalidThrottle};
use policy::{AdaptiveThrottlePolicy, Fate, probability};
pub use service::AdaptiveThrottle;
pub use throttle::{Throttle, ThrottleSnapshot};
