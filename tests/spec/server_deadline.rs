//! The deadline of a served call: what stops at it, and what the calls made for it inherit.

mod cancelled;
mod earliest;
mod ends;
pub(crate) mod front;
mod identity;
mod inherited;
mod late;
mod phases;
mod raw;
mod unread;
