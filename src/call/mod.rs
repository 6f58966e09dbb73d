//! What a call carries: the only way in which layers speak to each other.
//!
//! One request extension, [`Context`], holds all of it. A layer reads what it needs and writes what
//! it knows; what nobody wrote has a default, so that every layer works alone and in any stack.
//!
//! | what | written by | read by | absent means |
//! |---|---|---|---|
//! | [`CallOptions`] | the caller, through [`CallOptionsExt`] | every layer | the layer's own setting |
//! | [`Deadline`] | the deadline layer; for one attempt the attempt timeout layer | all that wait or send | no deadline |
//! | [`Safety`] | the idempotency layer | retry | [`Safety::Unknown`]: not repeated once it may have run |
//! | [`Budget`] | the budget layer | retry | unlimited |
//! | [`MethodKind`](crate::grpc::MethodKind) | the idempotency layer, the caller | retry | a stream |
//! | [last attempt](Context::is_last_attempt) | retry | attempt timeout | another can follow |
//! | attempt number | retry | a retry layer below, which stands back | no retry layer above |
//! | the report | retry, deadline, the caller's `call_report()` | whoever acts on the call writes into it | nobody listens |

mod attempt_kind;
mod budget;
mod budget_snapshot;
mod context;
mod deadline;
mod ext;
mod grace;
pub(crate) mod internal;
mod method;
mod options;
mod safety;
mod seen;
mod served;

pub use attempt_kind::AttemptKind;
pub(crate) use attempt_kind::PerKind;
pub use budget::{Budget, Permit};
pub use budget_snapshot::BudgetSnapshot;
pub use context::Context;
pub use deadline::Deadline;
pub use ext::CallOptionsExt;
pub use method::Method;
pub(crate) use options::Timeout;
pub use options::{CallOptions, WaitMode};
pub use safety::Safety;
pub(crate) use seen::Reader;
pub use served::ParentCall;
