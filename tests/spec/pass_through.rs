//! What a layer leaves alone (CONTRACT B1 to B5).

mod answers;
mod bodies;
mod differential;
mod laws;
mod progress;
mod redials;
