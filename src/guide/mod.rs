//! Pages for users: which part to choose, and how to come from something else.
//!
//! | page | about |
//! |---|---|
#![cfg_attr(
    feature = "channel",
    doc = "| [`channels`] | this crate's channel or tonic's, and the way from tonic, ginepro and `warm_channels` |"
)]

#[cfg(feature = "channel")]
pub mod channels {
    #![doc = include_str!("channels.md")]
}
