//! What many calls at once cost, and what is left of those that are dropped.
#![cfg(test)]

mod common;
mod drops;
mod memory;
mod waiting;

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;
