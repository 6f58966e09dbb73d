//! What several files of this binary need, by subject.

mod answers;
mod bodies;
mod calls;
mod clocks;
mod errors;
mod parent_call;
mod requests;
mod services;
mod stacks;

pub(crate) use answers::{
    all_ended, dial_times, failures, hang_after_message, previous_attempts, sorted, timeouts, waits,
};
pub(crate) use bodies::Endless;
pub(crate) use calls::{bidi, poll_once, spawn};
pub(crate) use clocks::paused_runtime;
pub(crate) use errors::{has, ours, sources};
pub(crate) use parent_call::serving;
pub(crate) use requests::{MALFORMED_TIMEOUTS, declared_hello, hello, numbered};
pub(crate) use services::{Slow, TwoChannels, Untimed, by_turns, untimed};
pub(crate) use stacks::{Stack, client, for_each_stack, retrying};
pub(crate) use testing::{
    SECOND, declared, every, message, ms, policy, settle, unavailable, undeclared,
};
