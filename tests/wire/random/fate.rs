//! What one stream meets.

use std::time::Duration;

use peer::{Headers, LastStream, Reason, Step, Stream};

use super::dice::Dice;

/// Nothing else happens meanwhile: the clock is paused.
const STALL: Duration = Duration::from_secs(10);

/// Resets that say nothing of whether the application ran.
const RESETS: [Reason; 8] = [
    Reason::NO_ERROR,
    Reason::PROTOCOL_ERROR,
    Reason::INTERNAL_ERROR,
    Reason::FLOW_CONTROL_ERROR,
    Reason::CANCEL,
    Reason::ENHANCE_YOUR_CALM,
    Reason::INADEQUATE_SECURITY,
    Reason(0x77),
];

const GOAWAYS: [Reason; 4] = [
    Reason::NO_ERROR,
    Reason::NO_ERROR,
    Reason::INTERNAL_ERROR,
    Reason::ENHANCE_YOUR_CALM,
];

/// How far a stream gets before its fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// Its HEADERS have arrived, and perhaps more.
    Begun,
    /// The request is complete.
    Whole,
    /// The head of the answer is sent.
    Headed,
    /// Head and message are sent.
    Half,
}

impl Point {
    pub(super) const BEFORE_THE_HEAD: [Self; 2] = [Self::Begun, Self::Whole];
    pub(super) const ALL: [Self; 4] = [Self::Begun, Self::Whole, Self::Headed, Self::Half];

    fn steps(self) -> Vec<Step> {
        let mut steps = match self {
            Self::Begun => vec![],
            Self::Whole | Self::Headed | Self::Half => vec![Step::AwaitRequest],
        };
        if matches!(self, Self::Headed | Self::Half) {
            steps.push(Step::Headers(Headers::response()));
        }
        if self == Self::Half {
            steps.push(Step::message(b"half"));
        }
        steps
    }
}

/// Ends the connection, at once or after a silence.
pub(super) fn end(dice: &mut Dice) -> Vec<Step> {
    dice.one_of(&[
        vec![Step::Close],
        vec![Step::Abort],
        vec![Step::Settle, Step::Abort],
        vec![Step::Wait(STALL), Step::Close],
        vec![Step::Wait(STALL), Step::Abort],
        vec![Step::Silence, Step::Wait(STALL), Step::Close],
    ])
}

pub(super) fn answered(in_one_block: bool) -> Stream {
    if in_one_block {
        return Stream::status(0, "");
    }
    Stream::ok(b"done")
}

/// An answer that is a failure.
pub(super) fn unavailable(dice: &mut Dice) -> Stream {
    dice.one_of(&[
        Stream::status(14, "later"),
        Stream::http(503, "text/html", "<html>"),
    ])
}

pub(super) fn refused(dice: &mut Dice) -> Stream {
    dice.one_of(&[
        Stream::refuse(),
        Stream::reset(Reason::REFUSED_STREAM),
        Stream::from([Step::Wait(STALL), Step::Reset(Reason::REFUSED_STREAM)]),
    ])
}

pub(super) fn reset(dice: &mut Dice, points: &[Point]) -> Stream {
    let mut steps = dice.one_of(points).steps();
    // Let the other side see what was sent before, or not.
    if dice.roll(2) == 0 {
        steps.push(Step::Settle);
    }
    steps.push(Step::Reset(dice.one_of(&RESETS)));
    Stream::from(steps)
}

pub(super) fn ended(dice: &mut Dice, points: &[Point]) -> Stream {
    let mut steps = dice.one_of(points).steps();
    steps.extend(end(dice));
    Stream::from(steps)
}

/// A GOAWAY below, at or above the stream, which then is answered, forgotten or cut off.
pub(super) fn goaway(dice: &mut Dice, points: &[Point], in_one_block: bool) -> Stream {
    let last = dice.one_of(&[LastStream::Below, LastStream::This, LastStream::All]);
    let mut steps = dice.one_of(points).steps();
    let headed = steps.len() > 1;
    steps.push(Step::GoAway(last, dice.one_of(&GOAWAYS)));
    if dice.roll(2) == 0 {
        steps.push(Step::Settle);
    }
    let answer = if in_one_block {
        vec![Step::Headers(Headers::trailers_only(0))]
    } else {
        vec![
            Step::Headers(Headers::response()),
            Step::Headers(Headers::trailers(0)),
        ]
    };
    let is_below = last == LastStream::Below;
    match dice.roll(2) {
        0 if !is_below && !headed => {
            steps.push(Step::AwaitRequest);
            steps.extend(answer);
        }
        _ => steps.extend(end(dice)),
    }
    Stream::from(steps)
}
