//! What many calls at once cost, and what is left of those that are dropped.
#![cfg(test)]

mod channel;
mod drops;
mod memory;
mod streams;
mod support;
mod waiting;

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;
