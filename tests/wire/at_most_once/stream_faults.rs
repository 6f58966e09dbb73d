//! What one stream meets.

use std::time::Duration;

use peer::{Headers, LastStream, Reason, Step, Stream};

use super::rng::Dice;

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

/// Within the first message of a request.
const PART: usize = 20;

/// How far a stream gets before its fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// Its HEADERS have arrived, and perhaps more.
    Begun,
    /// Some of the body has arrived, if there is any.
    Part,
    /// The request is complete.
    Whole,
    /// The head of the answer is sent, before the request is complete.
    Early,
    /// The head of the answer is sent.
    Headed,
    /// Head and message are sent.
    Half,
}

impl Point {
    pub(super) const BEFORE_THE_HEAD: [Self; 3] = [Self::Begun, Self::Part, Self::Whole];
    pub(super) const ALL: [Self; 6] = [
        Self::Begun,
        Self::Part,
        Self::Whole,
        Self::Early,
        Self::Headed,
        Self::Half,
    ];

    fn is_headed(self) -> bool {
        matches!(self, Self::Early | Self::Headed | Self::Half)
    }

    fn steps(self) -> Vec<Step> {
        let head = Step::Headers(Headers::response());
        match self {
            Self::Begun => vec![],
            Self::Part => vec![Step::AwaitBytes(PART)],
            Self::Whole => vec![Step::AwaitRequest],
            Self::Early => vec![head],
            Self::Headed => vec![Step::AwaitRequest, head],
            Self::Half => vec![Step::AwaitRequest, head, Step::message(b"half")],
        }
    }
}

/// Rolls what streams meet.
pub(super) struct Fates<'a> {
    pub(super) dice: &'a mut Dice,
    /// How far they get.
    pub(super) points: &'static [Point],
    /// An answer is one block: after it nothing is left that could fail.
    pub(super) in_one_block: bool,
    /// How long a peer that stalls does so.
    pub(super) stall: Duration,
}

impl Fates<'_> {
    /// Ends the connection, at once or after a silence.
    pub(super) fn end(&mut self) -> Vec<Step> {
        let wait = Step::Wait(self.stall);
        self.dice.one_of(&[
            vec![Step::Close],
            vec![Step::Abort],
            vec![Step::Settle, Step::Abort],
            vec![wait.clone(), Step::Close],
            vec![wait.clone(), Step::Abort],
            vec![Step::Silence, wait, Step::Close],
        ])
    }

    /// An answer as most are, in one block where answers are.
    pub(super) fn simply_answered(&self) -> Stream {
        if self.in_one_block {
            Stream::status(0, "")
        } else {
            Stream::ok(b"done")
        }
    }

    pub(super) fn answered(&mut self) -> Stream {
        if self.in_one_block {
            return self.simply_answered();
        }
        let head = Step::Headers(Headers::response());
        let done = Step::message(b"done");
        let ok = Step::Headers(Headers::trailers(0));
        self.dice.one_of(&[
            Stream::ok(b"done"),
            Stream::status(0, ""),
            Stream::from([Step::AwaitRequest, head.clone(), ok.clone()]),
            // As a server stream.
            Stream::from([
                Step::AwaitRequest,
                head.clone(),
                done.clone(),
                Step::Settle,
                done.clone(),
                ok.clone(),
            ]),
            // As a stream in both directions.
            Stream::from([
                head.clone(),
                Step::AwaitBytes(PART),
                done.clone(),
                Step::AwaitRequest,
                ok.clone(),
            ]),
            // Does not want the rest of the request.
            Stream::from([head, done, ok, Step::Reset(Reason::NO_ERROR)]),
        ])
    }

    /// An answer that is a failure, and may be retried if the call may.
    pub(super) fn unavailable(&mut self) -> Stream {
        let pushback = |value: &'static str| {
            let head = Headers::trailers_only(14).with("grpc-retry-pushback-ms", value);
            Stream::from([Step::AwaitRequest, Step::Headers(head)])
        };
        let head = Step::Headers(Headers::response());
        let trailers = Step::Headers(Headers::trailers(14));
        let of_another = Headers::trailers_only(14)
            .with("grpc-resilience-unprocessed", "/test.v1.Echo/Elsewhere");
        let mut answers = vec![
            Stream::status(14, "later"),
            Stream::status(8, "later"),
            Stream::http(503, "text/html", "<html>"),
            // Before the request is complete.
            Stream::from([Step::Headers(Headers::trailers_only(14))]),
            // It had no effect, complete or not.
            Stream::from([Step::AwaitRequest, Step::Vouch(14)]),
            Stream::from([Step::Vouch(8)]),
            // Another one had none.
            Stream::from([Step::AwaitRequest, Step::Headers(of_another)]),
            pushback("0"),
            pushback("3"),
        ];
        if !self.in_one_block {
            answers.extend([
                pushback("-1"),
                pushback("soon"),
                Stream::status(3, "never"),
                Stream::from([Step::AwaitRequest, head.clone(), trailers.clone()]),
                Stream::from([
                    Step::AwaitRequest,
                    head,
                    Step::message(b"half"),
                    trailers.clone(),
                ]),
            ]);
        }
        self.dice.one_of(&answers)
    }

    pub(super) fn refused(&mut self) -> Stream {
        self.dice.one_of(&[
            Stream::refuse(),
            Stream::reset(Reason::REFUSED_STREAM),
            Stream::from([Step::AwaitBytes(PART), Step::Reset(Reason::REFUSED_STREAM)]),
            Stream::from([Step::Wait(self.stall), Step::Reset(Reason::REFUSED_STREAM)]),
        ])
    }

    pub(super) fn reset(&mut self) -> Stream {
        let mut steps = self.dice.one_of(self.points).steps();
        // Let the other side see what was sent before, or not.
        if self.dice.roll(2) == 0 {
            steps.push(Step::Settle);
        }
        steps.push(Step::Reset(self.dice.one_of(&RESETS)));
        Stream::from(steps)
    }

    pub(super) fn ended(&mut self) -> Stream {
        let mut steps = self.dice.one_of(self.points).steps();
        steps.extend(self.end());
        Stream::from(steps)
    }

    /// A GOAWAY below, at or above the stream, perhaps after one that named no last stream yet. The
    /// stream then is answered, forgotten or cut off.
    pub(super) fn goaway(&mut self) -> Stream {
        let last = [LastStream::Below, LastStream::This, LastStream::All];
        let last = self.dice.one_of(&last);
        let point = self.dice.one_of(self.points);
        let mut steps = point.steps();
        match self.dice.roll(4) {
            0 => steps.push(Step::GoAway(LastStream::All, Reason::NO_ERROR)),
            1 => steps.extend([
                Step::GoAway(LastStream::All, Reason::NO_ERROR),
                Step::Settle,
            ]),
            _ => {}
        }
        steps.push(Step::GoAway(last, self.dice.one_of(&GOAWAYS)));
        if self.dice.roll(2) == 0 {
            steps.push(Step::Settle);
        }
        let answer = if self.in_one_block {
            vec![Step::Headers(Headers::trailers_only(0))]
        } else {
            vec![
                Step::Headers(Headers::response()),
                Step::Headers(Headers::trailers(0)),
            ]
        };
        match self.dice.roll(2) {
            0 if last != LastStream::Below && !point.is_headed() => {
                steps.push(Step::AwaitRequest);
                steps.extend(answer);
            }
            _ => steps.extend(self.end()),
        }
        Stream::from(steps)
    }

    /// The same, a little later: so it is still open when something else happens.
    pub(super) fn late(&mut self, stream: Stream) -> Stream {
        let wait = Duration::from_millis(u64::try_from(1 + self.dice.roll(4)).unwrap());
        stream.after(Step::Wait(wait))
    }
}
