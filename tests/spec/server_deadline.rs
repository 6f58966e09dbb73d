//! The deadline of a served call: what stops at it, and what the calls made for it inherit.

mod cancelled;
pub(crate) mod closures;
mod earliest_deadline;
mod ends;
mod inherited_deadline;
mod late_handler;
mod pass_through;
mod phases;
mod raw_http2;
mod unread_body;
