//! What happened to a call, and why it ended as it did.
//!
//! The layers write it down; a [`CallReport`] reads it. There are three ways to one:
//!
//! - before the call, [`CallOptionsExt::call_report`](crate::call::CallOptionsExt::call_report)
//!   gives one that can be read while the call hangs, from another task;
//! - a success has one in the extensions of its response if it took more than one attempt or had to
//!   wait, or if somebody took one before: what went at once has nothing else to tell, and the
//!   extensions of a response cost allocations;
//! - a failure has one in its chain of sources: [`CallReport::find`], beside the reason that
//!   [`GiveUp::find`] gives.
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
//!   The deadline layer writes one only for a call with a deadline, attempt timeout and wait for ready
//!   only where another layer or the caller does; the retry layer for each call that it may repeat.
//!   Without it attempts are not counted.
//! - **Bounded**: of the attempts that failed the last 16 are kept.
//! - **Ended by** the outermost layer that acts on the call: what goes on below it after that, in a task
//!   of somebody else's say, is not written down. A request that is sent again by a layer further out
//!   than ours begins its report anew.
//! - **Answers that pass**: a layer that does not act on the call hands a non-OK answer up as it came. The
//!   status of such a call holds no report; one taken before does.

mod attempt;
mod call_report;
mod give_up;
mod phase;
mod record;
mod trace;

pub use attempt::FailedAttempt;
pub use call_report::CallReport;
pub use give_up::GiveUp;
pub use phase::Phase;
pub(crate) use record::SharedError;
pub(crate) use trace::Trace;
