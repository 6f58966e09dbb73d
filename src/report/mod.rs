//! Records what happens to a call, and why it ended.
//!
//! The layers write it down; a [`CallReport`] reads it. There are three ways to one:
//!
//! - before the call, [`CallOptionsExt::call_report`](crate::call::CallOptionsExt::call_report)
//!   gives one that another task can read while the call runs;
//! - a success has one in the extensions of its response if it took more than one attempt or had to
//!   wait, or if a report was taken before. Other successes have nothing to report, and extensions
//!   of a response cost allocations;
//! - a failure has one in its chain of sources: [`CallReport::find`], beside the reason from
//!   [`GiveUp::find`].
//!
//! ```
//! use grpc_resilience::CallReport;
//! use grpc_resilience::call::CallOptionsExt;
//! use grpc_resilience::report::Phase;
//!
//! let mut request = tonic::Request::new(());
//! let report: CallReport = request.call_report();
//! // let call = tokio::spawn(async move { orders.get(request).await });
//! assert_eq!(report.phase(), Phase::NotStarted);
//! println!("{report}"); // how far it got, in one line
//! ```
//!
//! - **Written by** the layers that act on calls: retry, deadline, attempt timeout, wait for ready.
//!   The deadline layer records only calls with a deadline; attempt timeout and wait-for-ready
//!   record only if another layer or the caller does; the retry layer records each call that it may
//!   repeat. Without the retry layer attempts are not counted.
//! - **Streams** that come back have a [`StreamReport`] over all their openings; each opening is a
//!   call with a report of its own.
//! - **Bounded**: the last 16 failed attempts are kept.
//! - **Ended by** the outermost layer that acts on the call. Events below it after that, for
//!   example in a spawned task, are not recorded. A request that a foreign outer layer sends again
//!   starts a new record.
//! - **Passed answers**: a layer that does not act on the call returns a non-OK answer unchanged.
//!   The status of such a call holds no report; a report taken before holds the call.

mod attempt;
mod call_report;
mod give_up;
mod phase;
mod record;
mod stream_report;
mod trace;
mod waited;

pub use attempt::FailedAttempt;
pub use call_report::CallReport;
pub use give_up::GiveUp;
pub use phase::Phase;
pub(crate) use record::SharedError;
#[cfg(feature = "tonic")]
pub(crate) use stream_report::StreamRecord;
pub use stream_report::StreamReport;
pub(crate) use trace::Trace;
pub(crate) use waited::Waited;
