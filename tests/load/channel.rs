//! The channel: what hostile peers cost it, and what it holds of memory.

mod counted;
mod hostile;
mod memory;
mod raw;
