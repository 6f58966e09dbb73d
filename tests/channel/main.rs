//! `channel::Channel` over a raw HTTP/2 peer, real sockets and transports in memory.
#![cfg(test)]

mod common;

mod call;
mod connecting;
mod goaway;
mod hostile;
mod idle;
mod keepalive;
mod layers;
mod lifetime;
mod loss;
mod slots;
mod storm;
mod streams;
mod waiting;
mod writes;
