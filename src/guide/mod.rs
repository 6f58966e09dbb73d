//! Pages for users: which part to choose, and how to come from something else.
//!
//! | page | about |
//! |---|---|
#![cfg_attr(
    feature = "channel",
    doc = "| [`channels`] | this crate's channel or tonic's, and the way from tonic, ginepro and `warm_channels` |"
)]
#![cfg_attr(
    feature = "server",
    doc = "| [`rollouts`] | servers that come and go without a lost call: Consul, Kubernetes, DNS |"
)]

#[cfg(feature = "channel")]
pub mod channels {
    #![doc = include_str!("channels.md")]
}

#[cfg(feature = "server")]
pub mod rollouts {
    #![doc = include_str!("rollouts.md")]
}
