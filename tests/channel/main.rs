//! `channel::Channel` over a raw HTTP/2 peer, real sockets and transports in memory.
#![cfg(test)]

mod common;

mod adaptive;
mod balance;
mod call;
mod connecting;
mod consul;
mod consul_registration;
mod deadlines;
mod dns;
mod drops;
mod ejection;
mod ejection_counts;
mod ejection_history;
mod ejection_places;
mod ejection_probes;
mod floods;
mod goaway;
mod health_ends;
mod health_gate;
mod health_limits;
mod health_panic;
mod health_shares;
mod hostile;
mod idle;
mod keepalive;
mod layers;
mod leader;
mod lifetime;
mod loss;
mod names;
mod pickers;
mod picking_cases;
mod pins;
mod proxy;
mod silent;
mod slots;
mod storm;
mod streams;
mod tls;
mod tls_reload;
mod turns;
mod updates;
mod waiting;
mod writes;
