//! Calls that wait for a stream slot.
#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use tokio::task::JoinHandle;
use tonic::transport::Channel;

use crate::client::{Answer, channel, endpoint, others_have_run, spawn};
use crate::{Connection, Gate, Peer, Step, Stream};

/// Three calls over a connection of one slot: one has it, one waits for it, one is behind that in
/// hyper's queue.
#[derive(Debug)]
pub struct Crowd {
    /// It has seen the stream of the first call only.
    pub peer: Peer,
    /// The channel of all three.
    pub channel: Channel,
    /// The call that has the slot.
    pub running: JoinHandle<Answer>,
    /// The call that waits for the slot.
    pub waiting: JoinHandle<Answer>,
    /// The call in hyper's queue.
    pub queued: JoinHandle<Answer>,
}

impl Crowd {
    /// Makes the calls; the first one's stream meets `slot`.
    pub async fn gather(slot: Stream) -> Self {
        let peer = Peer::start([Connection::new().max_concurrent_streams(1).streams([slot])]).await;
        let channel = channel(&peer);
        let running = spawn(&channel);
        peer.wait_for_streams(1).await;
        peer.settings_acknowledged(0).await;
        let waiting = spawn(&channel);
        others_have_run().await;
        let queued = spawn(&channel);
        others_have_run().await;
        Self {
            peer,
            channel,
            running,
            waiting,
            queued,
        }
    }

    /// What the three end with, in their order.
    ///
    /// # Panics
    ///
    /// If a second call was sent.
    pub async fn answers(&mut self) -> [Answer; 3] {
        let (running, waiting) = ((&mut self.running).await, (&mut self.waiting).await);
        let answers = [running, waiting, (&mut self.queued).await];
        assert_eq!(self.peer.streams_seen().len(), 1, "only one was ever sent");
        answers.map(Result::unwrap)
    }
}

/// What the only call ends with of a connection that never opens a slot, and closes.
///
/// # Errors
///
/// The channel's own.
///
/// # Panics
///
/// If the call was sent.
pub async fn without_a_slot() -> Answer {
    let gate = Gate::new();
    let connection = Connection::new()
        .max_concurrent_streams(0)
        .then(Step::Gate(gate.clone()))
        .then(Step::Close);
    let peer = Peer::start([connection]).await;
    let channel = endpoint(peer.uri()).connect().await.unwrap();
    peer.settings_acknowledged(0).await;
    let waiting = spawn(&channel);
    others_have_run().await;
    gate.open();
    let answer = waiting.await.unwrap();
    assert!(peer.streams_seen().is_empty());
    answer
}
