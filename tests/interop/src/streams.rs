//! Request streams that are written while they are sent, so that no layer can have all of one at once.

use std::time::Duration;

use test_protos::EchoRequest;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

use crate::calls::message;
use crate::scenarios::PAUSE;

/// Longer than the server takes to fail a call that it has read half of.
const PAUSE_OF: Duration = Duration::from_millis(150);

type Messages = &'static [&'static str];

/// Writes one message at a time, and half-closes after the last one.
pub(crate) struct Speaker {
    unsent: std::slice::Iter<'static, &'static str>,
    sender: Option<mpsc::Sender<EchoRequest>>,
}

/// A speaker who has said the first message.
pub(crate) async fn speaker(messages: Messages) -> (Speaker, ReceiverStream<EchoRequest>) {
    let (sender, receiver) = mpsc::channel(1);
    let mut speaker = Speaker {
        unsent: messages.iter(),
        sender: Some(sender),
    };
    speaker.speak().await;
    (speaker, ReceiverStream::new(receiver))
}

/// A stream of these messages, which ends after the last one.
pub(crate) fn spoken(messages: Messages) -> ReceiverStream<EchoRequest> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut speaker = Speaker {
            unsent: messages.iter(),
            sender: Some(sender),
        };
        while speaker.sender.is_some() {
            speaker.speak().await;
        }
    });
    ReceiverStream::new(receiver)
}

impl Speaker {
    pub(crate) async fn speak(&mut self) {
        match (self.unsent.next(), &self.sender) {
            (Some(&PAUSE), _) => sleep(PAUSE_OF).await,
            // A failed send means that the call is over, and its status says so better.
            (Some(text), Some(sender)) => drop(sender.send(message(text)).await),
            _ => self.sender = None,
        }
    }
}
