use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::channel::connection::Connection;

/// A stream's slot on a connection, given back on drop.
///
/// It is dropped after h2's handles of the stream: then h2 has the reset of a cancelled call.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) connection: Arc<Connection>,
    /// The request was given to h2 whole, and the response ended: the stream is over in h2 too.
    is_sent: AtomicBool,
    is_answered: AtomicBool,
    /// It was used for a stream.
    is_used: AtomicBool,
}

impl Slot {
    /// One that was taken from the connection's.
    pub(crate) fn taken(connection: Arc<Connection>) -> Self {
        Self {
            connection,
            is_sent: AtomicBool::new(false),
            is_answered: AtomicBool::new(false),
            is_used: AtomicBool::new(false),
        }
    }

    pub(super) fn used(&self) {
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// The whole request was given to h2.
    pub(super) fn sent(&self) {
        self.is_sent.store(true, Ordering::Release);
    }

    /// The peer ended the stream.
    pub(super) fn answered(&self) {
        self.is_answered.store(true, Ordering::Release);
    }

    /// The peer reset the stream, or the connection is over.
    pub(super) fn ended(&self) {
        self.sent();
        self.answered();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !*self.is_used.get_mut() {
            return self.connection.free_slot();
        }
        if *self.is_sent.get_mut() && *self.is_answered.get_mut() {
            self.connection.accepted();
            self.connection.free_slot();
        } else {
            self.connection.cancel_slot();
        }
    }
}

/// A slot, which a call has for itself unless a task pumps its body.
#[derive(Debug)]
pub(super) enum Held {
    Alone(Slot),
    Shared(Arc<Slot>),
}

impl Deref for Held {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        match self {
            Self::Alone(slot) => slot,
            Self::Shared(slot) => slot,
        }
    }
}
