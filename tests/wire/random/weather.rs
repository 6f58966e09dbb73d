//! What each connection meets.

use std::time::Duration;

use peer::{Connection, Reason, Step, Stream};

use super::calls::MARKED;
use super::dice::Dice;
use super::fate::{self, Point};

/// More than the calls use up; what came after them would be fair.
pub(super) const CONNECTIONS: usize = 2_000;
/// So many streams a connection has at most; with the next it ends.
const STREAMS: usize = 16;

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
}

impl Weather {
    pub(super) fn connections(self, seed: u64) -> Vec<Connection> {
        let mut dice = Dice(seed);
        (0..CONNECTIONS)
            .map(|_| self.connection(&mut dice))
            .collect()
    }

    fn connection(self, dice: &mut Dice) -> Connection {
        match dice.roll(32) {
            0 => silent(dice),
            1 => Connection::garbage(dice.one_of(&[BAD_FRAME, STUB, &[0; 64]])),
            2 => early(dice),
            // No slot, or one, from when the client has read these SETTINGS on.
            3 => {
                let end = fate::end(dice);
                let full = [
                    Step::AwaitPreface,
                    Step::Settle,
                    Step::Wait(Duration::from_secs(1)),
                ];
                let full = full
                    .into_iter()
                    .chain(end)
                    .fold(Connection::new(), Connection::then);
                self.streams(dice, full.max_concurrent_streams(0))
            }
            4 | 5 => self.streams(dice, Connection::new().max_concurrent_streams(1)),
            6 => narrow(dice),
            _ => self.streams(dice, Connection::new()),
        }
    }

    fn streams(self, dice: &mut Dice, connection: Connection) -> Connection {
        // A second GOAWAY with a higher last stream would break the protocol.
        let mut has_gone = false;
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(self.stream(dice, &mut has_gone));
        }
        connection
            .streams(streams)
            .other_streams(Stream::from([Step::AwaitRequest, Step::Close]))
    }

    fn stream(self, dice: &mut Dice, has_gone: &mut bool) -> Stream {
        let in_one_block = self == Self::BeforeTheHead;
        let points: &[Point] = if in_one_block {
            &Point::BEFORE_THE_HEAD
        } else {
            &Point::ALL
        };
        match dice.roll(40) {
            0..=1 if !*has_gone => {
                *has_gone = true;
                fate::goaway(dice, points, in_one_block)
            }
            2 => fate::ended(dice, points),
            3..=6 => fate::reset(dice, points),
            7..=15 => fate::refused(dice),
            16..=17 => fate::unavailable(dice),
            _ => fate::answered(in_one_block),
        }
    }
}

/// Closes or resets as soon as it is accepted, or as HTTP/1 is answered to the preface.
fn silent(dice: &mut Dice) -> Connection {
    dice.one_of(&[
        Connection::closed(),
        Connection::silent().then(Step::Abort),
        Connection::http1(),
    ])
}

/// Says something that is not HTTP/2 before it was asked.
fn early(dice: &mut Dice) -> Connection {
    let bytes = dice.one_of(&[BAD_FRAME, STUB]);
    let says = Connection::silent().then(Step::Bytes(bytes.into()));
    says.then(dice.one_of(&[Step::Close, Step::Abort]))
}

/// Takes no request to its end, once the client has read its SETTINGS; the first bytes tell which it
/// is.
fn narrow(dice: &mut Dice) -> Connection {
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(match dice.roll(3) {
            0 => fate::refused(dice),
            1 => fate::reset(dice, &[Point::Begun]),
            _ => fate::ended(dice, &[Point::Begun]),
        });
    }
    let last = Stream::from([Step::Reset(Reason::CANCEL), Step::Close]);
    let window = u32::try_from(MARKED).unwrap();
    Connection::new()
        .stream_window(window)
        .streams(streams)
        .other_streams(last)
}
