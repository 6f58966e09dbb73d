//! What several files of this binary need, by subject.

mod answers;
mod clocks;
mod connectors;
mod errors;
mod parent_call;
mod policies;
mod requests;
mod services;
mod stacks;

pub(crate) use answers::{
    all_ended, dial_times, failures, previous_attempts, sorted, timeouts, unavailable, waits,
};
pub(crate) use clocks::{SECOND, ms, settle};
pub(crate) use connectors::{Broken, Nowhere};
pub(crate) use errors::{has, ours, sources};
pub(crate) use parent_call::serving;
pub(crate) use policies::{every, policy, retrying};
pub(crate) use requests::{declared, declared_hello, hello, message, numbered, undeclared};
pub(crate) use services::{Alternating, Slow, Turns, Untimed, untimed};
pub(crate) use stacks::{Stack, client, for_each_stack};
