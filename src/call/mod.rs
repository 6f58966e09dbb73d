//! The information that travels with a call: the only channel between layers.
//!
//! One request extension, [`Context`], holds all of it. A layer reads the parts that it needs and
//! writes the parts that it knows. Each absent part has a default, so every layer works alone and
//! in any stack.
//!
//! | part | written by | read by | absent means |
//! |---|---|---|---|
//! | [`CallOptions`] | the caller ([`CallOptionsExt`]) | every layer | the layer's own setting |
//! | [`Deadline`] | deadline; for an attempt attempt timeout | all acting layers | no deadline |
//! | [`Safety`] | idempotency | retry | [`Safety::Unknown`]: not repeated once it may have run |
//! | [`Budget`] | the budget layer | retry | unlimited |
//! | [`MethodKind`](crate::grpc::MethodKind) | idempotency, the caller | retry | a stream |
//! | [last attempt](Context::is_last_attempt) | retry | attempt timeout | another can follow |
//! | attempt number | retry | a retry layer below, which stands back | no retry layer above |
//! | the report | retry, deadline, the caller's `call_report()` | every layer that acts on the call | no report is kept |

mod attempt_end;
mod attempt_kind;
mod budget;
mod budget_slot;
mod budget_snapshot;
mod context;
mod deadline;
mod earlier;
mod ext;
mod grace;
pub(crate) mod internal;
mod method;
mod options;
mod safety;
mod seen;
mod served;

pub(crate) use attempt_end::AttemptEnd;
pub use attempt_kind::AttemptKind;
pub(crate) use attempt_kind::PerKind;
pub use budget::{Budget, Permit};
pub(crate) use budget_slot::BudgetSlot;
pub use budget_snapshot::BudgetSnapshot;
pub use context::Context;
pub use deadline::Deadline;
pub(crate) use earlier::Earlier;
pub use ext::CallOptionsExt;
pub use method::Method;
pub(crate) use options::Timeout;
pub use options::{CallOptions, WaitMode};
pub use safety::Safety;
pub(crate) use seen::Reader;
pub use served::ParentCall;
