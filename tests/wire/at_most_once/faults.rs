//! What each connection meets.

use std::time::Duration;

use peer::{Connection, LastStream, Reason, Step, Stream};

use super::rng::Dice;
use super::stream_faults::{Fates, Point};

/// So many streams a connection has at most; with the next it ends.
const STREAMS: usize = 16;
/// What a narrow connection lets through of a request: less than a message.
const NARROW: u32 = 13;

/// Nine bytes make a frame's head, here of a DATA frame of two bytes on stream 0.
const BAD_FRAME: &[u8] = b"\0\0\x02\0\0\0\0\0\0xx";
/// Too short for a frame's head.
const STUB: &[u8] = b"xx";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    /// Every fault, at every point.
    Any,
    /// Every fault that comes before the answer; the answer is one block.
    BeforeTheHead,
    /// Connections age and go away gracefully, and nothing else is wrong.
    Ageing,
}

impl Weather {
    pub(super) fn connections(self, seed: u64, stall: Duration, count: usize) -> Vec<Connection> {
        let mut dice = Dice(seed);
        let in_one_block = self == Self::BeforeTheHead;
        let points: &[Point] = if in_one_block {
            &Point::BEFORE_THE_HEAD
        } else {
            &Point::ALL
        };
        let mut fates = Fates {
            dice: &mut dice,
            points,
            in_one_block,
            stall,
        };
        (0..count).map(|_| self.connection(&mut fates)).collect()
    }

    fn connection(self, fates: &mut Fates<'_>) -> Connection {
        if self == Self::Ageing {
            return aged(fates, answered);
        }
        match fates.dice.roll(40) {
            0 => silent(fates),
            1 => Connection::garbage(fates.dice.one_of(&[BAD_FRAME, STUB, &[0; 64]])),
            2 => early(fates),
            // No slot, or one, from when the client has read these SETTINGS on.
            3 => {
                let full = [
                    Step::AwaitPreface,
                    Step::Settle,
                    Step::Wait(fates.stall / 10),
                ];
                let full = full
                    .into_iter()
                    .chain(fates.end())
                    .fold(Connection::new(), Connection::then);
                streams(fates, full.max_concurrent_streams(0))
            }
            4 | 5 => streams(fates, Connection::new().max_concurrent_streams(1)),
            6 => narrow(fates),
            7..=14 => aged(fates, |fates| stream(fates, &mut true)),
            _ => streams(fates, Connection::new()),
        }
    }
}

fn answered(fates: &mut Fates<'_>) -> Stream {
    fates.answered()
}

fn streams(fates: &mut Fates<'_>, connection: Connection) -> Connection {
    // A second GOAWAY with a higher last stream would break the protocol.
    let mut has_gone = false;
    let streams: Vec<_> = (0..STREAMS).map(|_| stream(fates, &mut has_gone)).collect();
    connection
        .streams(streams)
        .other_streams(Stream::from([Step::AwaitRequest, Step::Close]))
}

fn stream(fates: &mut Fates<'_>, has_gone: &mut bool) -> Stream {
    match fates.dice.roll(40) {
        0..=1 if !*has_gone => {
            *has_gone = true;
            fates.goaway()
        }
        2 => fates.ended(),
        3..=6 => fates.reset(),
        7..=15 => fates.refused(),
        16..=17 => fates.unavailable(),
        _ => fates.answered(),
    }
}

/// Goes away gracefully while streams are open: a GOAWAY that names no last stream yet, then one
/// that names the last one that it has seen. Those up to it go on, and the client closes after
/// them.
fn aged(fates: &mut Fates<'_>, stream: impl Fn(&mut Fates<'_>) -> Stream) -> Connection {
    let wait = |millis| Step::Wait(Duration::from_millis(millis));
    let age = fates.dice.one_of(&[
        Step::AwaitStreams(1),
        Step::AwaitStreams(3),
        Step::AwaitStreams(8),
        wait(1),
        wait(5),
        wait(15),
    ]);
    let notice = fates
        .dice
        .one_of(&[vec![], vec![Step::Settle], vec![wait(1)]]);
    let last = [LastStream::This, LastStream::This, LastStream::Below];
    let last = fates.dice.one_of(&last);
    let steps = std::iter::once(Step::AwaitPreface)
        .chain([age, Step::GoAway(LastStream::All, Reason::NO_ERROR)])
        .chain(notice)
        .chain([Step::GoAway(last, Reason::NO_ERROR)]);
    let aged = steps.fold(Connection::new(), Connection::then);
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| {
            let stream = stream(fates);
            match fates.dice.roll(2) {
                0 => fates.late(stream),
                _ => stream,
            }
        })
        .collect();
    aged.streams(streams).other_streams(fates.simply_answered())
}

/// Closes or resets as soon as it is accepted, or as HTTP/1 is answered to the preface.
fn silent(fates: &mut Fates<'_>) -> Connection {
    fates.dice.one_of(&[
        Connection::closed(),
        Connection::silent().then(Step::Abort),
        Connection::http1(),
    ])
}

/// Says something that is not HTTP/2 before it was asked.
fn early(fates: &mut Fates<'_>) -> Connection {
    let bytes = fates.dice.one_of(&[BAD_FRAME, STUB]);
    let says = Connection::silent().then(Step::Bytes(bytes.into()));
    says.then(fates.dice.one_of(&[Step::Close, Step::Abort]))
}

/// Takes no message to its end, once the client has read its SETTINGS.
fn narrow(fates: &mut Fates<'_>) -> Connection {
    let begun = Fates {
        dice: &mut *fates.dice,
        points: &[Point::Begun],
        ..*fates
    };
    narrow_streams(begun)
}

fn narrow_streams(mut fates: Fates<'_>) -> Connection {
    let streams: Vec<_> = (0..4)
        .map(|_| match fates.dice.roll(3) {
            0 => Stream::refuse(),
            1 => fates.reset(),
            _ => fates.ended(),
        })
        .collect();
    let last = Stream::from([Step::Reset(Reason::CANCEL), Step::Close]);
    Connection::new()
        .stream_window(NARROW)
        .streams(streams)
        .other_streams(last)
}
