//! Client-side throttling of calls that an overloaded server would refuse.
//!
//! Refusing a call costs a server work, and a server with many times its capacity of calls may do
//! little else. This layer counts calls and how many of them the server accepted, and throttles
//! new ones with the probability `max(0, (requests - K * accepts) / (requests + 1))`. The server
//! then gets about K times the calls that it accepts, and a throttled call costs it nothing. Source
//! of the rule: [Site Reliability Engineering, Handling
//! Overload](https://sre.google/sre-book/handling-overload/), client-side throttling.
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
//! A call counts when its outcome is known, at that time. Calls under way do not count, so that a
//! slow server, or a burst before the first response, is not mistaken for an overloaded server.
//!
//! | outcome | request | accept |
//! |---|---|---|
//! | response headers without a status: the server took the call | yes | yes |
//! | ... then trailers with a refusal code before any message | stays | taken back |
//! | a response with a code that is not a refusal; a message too large | yes | yes |
//! | a refusal code: RESOURCE_EXHAUSTED, UNAVAILABLE | yes | no |
//! | a proxy's HTTP status 429, 502, 503 or 504 | yes | no |
//! | no connection, a lost one, a stream that the server's transport refused | yes | no |
//! | a stream reset, or a status from a layer below, with a refusal code | yes | no |
//! | throttled by this layer | yes | no |
//! | dropped by its caller, expired, timed out; another reset; an unknown error | no | no |
//! | failed locally: channel closed, not ready, or with too many waiting calls | no | no |
//!
//! - **Reads** and **writes** nothing of the call. Does not change a response.
//! - **Defaults**: K = 2 and a window of 120 s, from the source: with many calls, up to half may be
//!   refused before one is throttled, so that the client detects the end of an overload soon.
//!   Refusals are RESOURCE_EXHAUSTED and UNAVAILABLE, with which servers and proxies shed load. To
//!   detect a server that hangs, add DEADLINE_EXCEEDED with
//!   [`refused_on`](AdaptiveThrottleLayer::refused_on), and an attempt timeout below.
//! - **Errors**: RESOURCE_EXHAUSTED at once, with
//!   [`Reason::Throttled`](crate::classify::Reason::Throttled) and
//!   [`GiveUp::Throttled`](crate::GiveUp::Throttled). The call was never sent.
//! - **Interactions**: belongs directly below a retry layer and above wait-for-ready. There it sees
//!   every attempt, but not calls that wait for the channel. A throttled attempt is not retried,
//!   unless the retry policy includes RESOURCE_EXHAUSTED, and then with the policy's backoff; it
//!   takes nothing from a budget. Above a retry layer it throttles whole calls, but counts each by
//!   its last response only: a call that was refused twice and then served is an accept. It must
//!   not stand below wait-for-ready, where each failed dial is a refusal and calls fail that should
//!   wait; one WARN event reports that. In `Resilience` it is the
//!   [`attempt_layer`](crate::Resilience::attempt_layer). Refusals of a quota, which carry a retry
//!   delay, count as refusals of an overloaded server; if only a quota refuses calls, leave
//!   RESOURCE_EXHAUSTED out with [`refused_only_on`](AdaptiveThrottleLayer::refused_only_on).
//! - **Sharing**: the clones of a service share their counts, for all methods together.
//! - **Limits**: the counts are those of one client, and a few calls are weak evidence: after a
//!   single refused call the next is throttled with a probability of one half. The counts do not
//!   distinguish the backends of a balanced channel. An outage counts as an overload. The table
//!   shows how long after an outage a client with a steady ten calls a second still throttles
//!   calls; a client with more calls needs a little longer:
//!
//! | outage | window 120 s | window 10 s |
//! |---|---|---|
//! | 5 s | not at all | at most 4 s |
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
