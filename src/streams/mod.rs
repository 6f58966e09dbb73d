//! Server streams that come back where they broke off.
//!
//! A retry layer repeats calls; it can't repeat a stream whose first message was handed on. A
//! [`Resumable`] opens the stream again, at the last *token*: a revision, an offset, a bookmark,
//! whatever the server takes in a request to go on after a message. It works over any method of a
//! generated client that answers with a stream, and over any channel, with layers or without.
//!
//! ```
//! # use tonic::{Response, Streaming};
//! # #[derive(Clone)] struct Client;
//! # impl Client {
//! #     async fn follow(
//! #         &mut self,
//! #         _: Request<FollowRequest>,
//! #     ) -> Result<Response<Streaming<Entry>>, Status> {
//! #         Err(Status::unavailable("no server"))
//! #     }
//! # }
//! # #[derive(Clone, Default)] struct FollowRequest { after: u64 }
//! # struct Entry { offset: u64 }
//! use grpc_resilience::streams::{Event, OnEnd, Resumable};
//! use tonic::{Request, Status};
//!
//! # async fn read(client: Client) -> Result<(), Box<dyn std::error::Error>> {
//! let request = Request::new(FollowRequest::default());
//! let mut entries = Resumable::builder(request, move |request| {
//!     let mut client = client.clone();
//!     async move { client.follow(request).await }
//! })
//! .token(|entry| Some(entry.offset))
//! .resume(|_request, offset| FollowRequest { after: offset })
//! .on_end(OnEnd::Reopen)
//! .build()?;
//!
//! while let Some(event) = entries.next().await {
//!     match event? {
//!         Event::Item(entry) => println!("{}", entry.offset),
//!         Event::Gap(gap) => println!("entries after {:?} are lost", gap.from),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Tokens
//!
//! If **each message has a token** after which the server can go on, messages are handed on at
//! once, and none is lost or comes twice.
//!
//! If **only some messages have one**, there are two modes. Released at once, the messages since
//! the last token come again after a break. With [`hold_until_token`](Builder::hold_until_token)
//! they are held back until the next token, and discarded at a break, so that none comes twice.
//! What is held is [limited](Builder::max_held).
//!
//! # Ends
//!
//! - **A status that the [policy](Builder::policy) retries**, a lost connection, a reset, an end
//!   without a status, or a timeout of the stream or an attempt: the stream is opened again, after
//!   the policy's backoff or the server's hint.
//! - **OK**: [`on_end`](Builder::on_end) says whether the stream is complete or opened again.
//! - **OUT_OF_RANGE or FAILED_PRECONDITION** as the answer to a token, or a message that
//!   [`lost`](Builder::lost) recognises: the token is lost, and [`on_lost`](Builder::on_lost)
//!   decides.
//! - **Another answer that the policy does not retry, or INTERNAL**: the third one for a token
//!   means that the token is lost. A stream that was open for a minute was not refused.
//! - **Such an answer to a request without a token**, a failure that
//!   [no attempt can cure](crate::classify::Reason::is_incurable), a pushback that forbids retries,
//!   or the policy's last attempt: the stream fails with that status.
//!
//! Attempts and backoff start over only when a message brings a new token, not when an opening
//! succeeds: a server that accepts streams and breaks them off is asked ever less often. A stream
//! that begins anew although its last token was refused does so at once the first time, then after
//! at least 1, 3, 9 and up to 10 minutes since the last time.
//!
//! # Costs and bounds
//!
//! - **Budget**: an opening that follows another costs what a retry costs, in the budget that a
//!   layer below has given to the calls of the stream. If the budget has no permit, the opening
//!   waits at least 30 s and is then a call of its own; a stream whose deadline comes first fails
//!   at once. The failure itself is charged once, by the retry layer below or else here. An opening
//!   that follows a clean end and a new token is free. Streams give a budget back next to nothing,
//!   since they are few and long, and nothing at all without a retry layer below: where many share
//!   a channel whose server dies often, give it a larger budget, or `unlimited_budget()`.
//! - **Deadline**: the default timeout of a deadline layer does not apply. The request's own
//!   timeout bounds the stream as a whole, over all openings.
//!   [`open_timeout`](Builder::open_timeout) bounds each opening, and
//!   [`idle_timeout`](Builder::idle_timeout) each silence. An attempt timeout layer bounds each
//!   attempt of an opening as well: for a server that sends its headers with a late first message,
//!   set `call_options().no_attempt_timeout()` on the request.
//! - **One call at a time**: the call of a stream that broke off is dropped before the next opens,
//!   and its reset is written first. There is no task: dropping the [`Resumable`] ends its call.
//! - **Memory**: what is held, and what is ready to be handed on. A caller that does not poll
//!   leaves further messages to HTTP/2's flow control.
//! - **Layers below** may retry each opening by themselves, and wait for the channel. The calls are
//!   declared idempotent, because a stream that resumes only reads, and are known to be answered in
//!   a stream.
//! - **Over tonic's channel without a retry layer**, a stream that ends without a status looks like
//!   a clean end: tonic reports it so. A [`RetryLayer`](crate::RetryLayer) or
//!   [`Resilience`](crate::Resilience) recognises it.
//!
//! # etcd: the last whole response, and compaction in a message
//!
//! The token is the revision after the last *event*: the header of a response may name a newer one,
//! whose events are still to come. All events of a revision belong together, so a fragment has no
//! token. etcd reports compaction in a message; the caller reads the state again and says where to
//! go on.
//!
//! ```
//! # use tonic::{Response, Status, Streaming};
//! # #[derive(Clone)] struct WatchClient;
//! # impl WatchClient {
//! #     async fn watch(
//! #         &mut self,
//! #         _: Request<tokio_stream::Once<WatchCreateRequest>>,
//! #     ) -> Result<Response<Streaming<WatchResponse>>, Status> {
//! #         Err(Status::unavailable("no server"))
//! #     }
//! # }
//! # #[derive(Clone, Default)] struct WatchCreateRequest { key: Vec<u8>, start_revision: i64 }
//! # struct Event { mod_revision: i64 }
//! # struct WatchResponse { events: Vec<Event>, fragment: bool, canceled: bool }
//! # async fn range() -> i64 { 7 }
//! use grpc_resilience::streams::{self, OnEnd, OnLost, Resumable};
//! use tonic::Request;
//!
//! # async fn run(client: WatchClient) -> Result<(), Box<dyn std::error::Error>> {
//! let revision = range().await; // Reads all keys, at this revision.
//! let request = WatchCreateRequest { key: b"config/".to_vec(), start_revision: revision + 1 };
//! let mut watch = Resumable::builder(Request::new(request), move |request| {
//!     let mut client = client.clone();
//!     // etcd's Watch takes a stream of requests. `map` keeps the extensions of the request.
//!     async move { client.watch(request.map(tokio_stream::once)).await }
//! })
//! .token(|response| {
//!     let last = response.events.last().filter(|_| !response.fragment)?;
//!     Some(last.mod_revision + 1)
//! })
//! .resume(|first, revision| WatchCreateRequest { start_revision: revision, ..first.clone() })
//! .hold_until_token()
//! .start_at(revision + 1)
//! .lost(|response| response.canceled) // Compacted, or refused.
//! .on_lost(OnLost::Restart)
//! .on_end(OnEnd::Reopen)
//! .method("/etcdserverpb.Watch/Watch")
//! .build()?;
//!
//! while let Some(event) = watch.next().await {
//!     match event? {
//!         streams::Event::Item(response) => println!("{} events", response.events.len()),
//!         streams::Event::Gap(_compacted) => {
//!             let revision = range().await;
//!             watch.resume_from(revision + 1);
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Spanner: rows wait for a token
//!
//! ```
//! # use tonic::{Request, Response, Status, Streaming};
//! # async fn read(
//! #     _: Request<ReadRequest>,
//! # ) -> Result<Response<Streaming<PartialResultSet>>, Status> {
//! #     Err(Status::unavailable("no server"))
//! # }
//! # #[derive(Clone, Default)] struct ReadRequest { resume_token: Vec<u8> }
//! # #[derive(Clone)] struct PartialResultSet { resume_token: Vec<u8>, values: Vec<u8> }
//! use grpc_resilience::streams::Resumable;
//!
//! let rows = Resumable::builder(Request::new(ReadRequest::default()), read)
//!     .token(|part| (!part.resume_token.is_empty()).then(|| part.resume_token.clone()))
//!     .resume(|_first, resume_token| ReadRequest { resume_token })
//!     .hold_until_token()
//!     .max_held_bytes(128 << 20, |part| part.values.len())
//!     .build()?
//!     .into_items(); // A stream of `Result<PartialResultSet, Status>`.
//! # drop(rows);
//! # Ok::<(), grpc_resilience::streams::InvalidStream>(())
//! ```
//!
//! # yellowstone: a slot is whole at its last update
//!
//! A server that resumes at the beginning of a slot repeats the updates of a slot that was cut. So
//! the token is the slot after the one that has ended. An old slot is refused with OUT_OF_RANGE, or
//! with INTERNAL again and again: both end in a gap.
//!
//! ```
//! # use tonic::{Request, Response, Status, Streaming};
//! # async fn subscribe(_: Request<Subscribe>) -> Result<Response<Streaming<Update>>, Status> {
//! #     Err(Status::unavailable("no server"))
//! # }
//! # #[derive(Clone, Default)] struct Subscribe { from_slot: Option<u64> }
//! # struct Update { slot: u64, is_slot_end: bool }
//! use grpc_resilience::streams::{OnEnd, OnLost, Resumable};
//! use std::time::Duration;
//!
//! let updates = Resumable::builder(Request::new(Subscribe::default()), subscribe)
//!     .token(|update| update.is_slot_end.then_some(update.slot + 1))
//!     .resume(|_first, slot| Subscribe { from_slot: Some(slot) })
//!     .hold_until_token()
//!     .idle_timeout(Duration::from_secs(10))
//!     .on_end(OnEnd::Reopen)
//!     .on_lost(OnLost::Restart)
//!     .build()?;
//! # drop(updates);
//! # Ok::<(), grpc_resilience::streams::InvalidStream>(())
//! ```
//!
//! The rules are CONTRACT chapter S.

mod builder;
mod choices;
mod course;
mod decision;
mod event;
mod failure;
mod held;
mod invalid_stream;
mod items;
mod opening;
mod resumable;
mod silence;
mod steps;

pub use builder::Builder;
pub use choices::{OnEnd, OnLost};
pub use event::{Event, Gap};
pub use invalid_stream::InvalidStream;
pub use items::Items;
pub use resumable::Resumable;
