//! The stacks that are compared, each over the same no-op service.

mod ours;
mod peers;

use serde::{Deserialize, Serialize};

use crate::driven::drive;
use crate::{Answering, Driven, Failure, NoOp};

/// What a subject is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Group {
    /// The service by itself: what all else is measured against.
    Bare,
    /// A layer of ours to which nothing applies.
    Idle,
    /// A layer of ours that does its work.
    Active,
    /// Several layers of ours.
    Stack,
    /// What others offer.
    Peer,
}

impl Group {
    /// Whether the gate watches it.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Idle | Self::Active | Self::Stack)
    }
}

/// A stack by name.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// As in the tables; unique.
    pub name: &'static str,
    /// What it is for.
    pub group: Group,
    build: fn(NoOp) -> Result<Box<dyn Driven>, Failure>,
}

impl Subject {
    /// Puts the stack over a service that answers so.
    ///
    /// # Errors
    ///
    /// If a layer refuses its settings.
    pub fn build(&self, answering: Answering) -> Result<Box<dyn Driven>, Failure> {
        (self.build)(NoOp::new(answering))
    }
}

/// All of them, in the order of the tables; the bare service comes first.
#[must_use]
pub fn all() -> Vec<Subject> {
    let bare = Subject {
        name: BARE,
        group: Group::Bare,
        build: |service| drive(|| Ok(service)),
    };
    [bare]
        .into_iter()
        .chain(ours::all())
        .chain(peers::all())
        .collect()
}

/// The name of the service by itself.
pub const BARE: &str = "bare";

/// The subject of this name.
///
/// # Errors
///
/// If there is none.
pub fn named(name: &str) -> Result<Subject, Failure> {
    let subject = all().into_iter().find(|subject| subject.name == name);
    subject.ok_or_else(|| format!("there is no subject {name:?}").into())
}
