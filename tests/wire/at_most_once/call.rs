//! What one call is: chance decides, from the seed and the call's number alone.

use std::convert::Infallible;
use std::fmt;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use grpc_resilience::call::CallOptionsExt as _;
use grpc_resilience::grpc::MethodKind;
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use tokio_stream::StreamExt as _;
use tonic::body::Body;

use super::kind;
use super::rng::Dice;
use super::setup::{Calls, Setup, dice_of};

/// The header with the number of the call.
pub(super) const CALL: &str = "x-call";

const MESSAGES: usize = 5;
/// Longer than what a narrow window lets through.
const MESSAGE: [usize; 3] = [64, 100, 3_000];

/// Who declares that a call may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Declared {
    No,
    ByCaller,
    ByPath,
    ByKey,
}

/// What ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its answer, or a failure that is not repeated.
    Answer,
    /// Its caller drops it when it was polled so often.
    DropAfterPolls(usize),
    DropAfter(Duration),
    Deadline(Duration),
    AttemptTimeout(Duration),
}

/// What goes on between two messages of a request.
#[derive(Clone, Copy, Debug)]
enum Pause {
    None,
    Yield,
    Sleep(Duration),
}

#[derive(Clone)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) kind: MethodKind,
    pub(super) declared: Declared,
    pub(super) end: End,
    messages: Vec<(Pause, Bytes)>,
}

impl Call {
    pub(super) fn of(setup: &Setup, number: u32) -> Self {
        let dice = &mut dice_of(setup.seed, number.into());
        let kind = dice.one_of(&kind::ALL);
        let mut declared = vec![Declared::ByCaller];
        if setup.declares_methods() {
            declared.extend([Declared::ByPath, Declared::ByKey]);
        }
        let declared = match setup.calls {
            Calls::Declared => dice.one_of(&declared),
            Calls::Mixed if dice.roll(3) == 0 => dice.one_of(&declared),
            Calls::Mixed | Calls::Undeclared => Declared::No,
        };
        let end = if setup.calls == Calls::Mixed {
            end(dice)
        } else {
            End::Answer
        };
        let count = if kind.asks_in_a_stream() {
            dice.roll(MESSAGES + 1)
        } else {
            1
        };
        let messages = (0..count).map(|index| message(dice, kind, number, index));
        Self {
            number,
            kind,
            declared,
            end,
            messages: messages.collect(),
        }
    }

    /// All that a complete request holds.
    pub(super) fn body(&self) -> Vec<u8> {
        let messages = self.messages.iter().map(|(_, bytes)| &bytes[..]);
        messages.collect::<Vec<_>>().concat()
    }

    pub(super) fn request(&self) -> Request<Body> {
        let messages =
            tokio_stream::iter(self.messages.clone()).then(|(pause, bytes)| async move {
                pause.pass().await;
                Ok::<_, Infallible>(Frame::data(bytes))
            });
        let mut request = Request::post(kind::path(self.kind, self.declared))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header(CALL, self.number)
            .body(Body::new(StreamBody::new(messages)))
            .unwrap();
        if self.declared == Declared::ByCaller {
            request.call_options().idempotent();
        }
        match self.end {
            End::Deadline(timeout) => drop(request.call_options().timeout(timeout)),
            End::AttemptTimeout(timeout) => {
                request.call_options().attempt_timeout(timeout);
            }
            End::Answer | End::DropAfterPolls(_) | End::DropAfter(_) => {}
        }
        request
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let messages = self
            .messages
            .iter()
            .map(|(pause, bytes)| (pause, bytes.len()));
        f.debug_struct("Call")
            .field("number", &self.number)
            .field("kind", &self.kind)
            .field("declared", &self.declared)
            .field("end", &self.end)
            .field("messages", &messages.collect::<Vec<_>>())
            .finish()
    }
}

fn end(dice: &mut Dice) -> End {
    let soon = Duration::from_millis(u64::try_from(1 + dice.roll(20)).unwrap());
    match dice.roll(16) {
        0 => End::DropAfterPolls(dice.roll(8)),
        1 => End::DropAfter(soon),
        2 => End::Deadline(soon),
        3 => End::AttemptTimeout(soon),
        _ => End::Answer,
    }
}

/// A message that says which call it is of, and which of its messages it is.
fn message(dice: &mut Dice, kind: MethodKind, number: u32, index: usize) -> (Pause, Bytes) {
    let pauses = [
        Pause::None,
        Pause::Yield,
        Pause::Sleep(Duration::from_millis(1)),
        Pause::Sleep(Duration::from_millis(3)),
    ];
    let pause = if kind.asks_in_a_stream() {
        dice.one_of(&pauses)
    } else {
        Pause::None
    };
    let length = dice.one_of(&MESSAGE);
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap());
    while bytes.len() < 5 + length {
        bytes.put_u32(number);
        bytes.put_u8(u8::try_from(index).unwrap());
    }
    bytes.truncate(5 + length);
    (pause, bytes.freeze())
}

impl Pause {
    async fn pass(self) {
        match self {
            Self::None => {}
            Self::Yield => tokio::task::yield_now().await,
            Self::Sleep(time) => tokio::time::sleep(time).await,
        }
    }
}
