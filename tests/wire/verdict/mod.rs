//! FIELD.md, section 4, row by row: what `classify::failure` makes of each event.

mod answered;
mod connecting;
mod not_http2;
mod queued;
mod reached;
mod report;
mod tonic_codes;
mod unprocessed;
mod unrecognised;

use grpc_resilience::__internal;
use grpc_resilience::BoxError;
use grpc_resilience::classify::{Progress, Reason};
use grpc_resilience::grpc::Code;

use super::support::log;

type Seen = (Progress, Code, Reason);

const CONNECT_FAILED: Seen = (Progress::NotSent, Code::Unavailable, Reason::ConnectFailed);
const CHANNEL_CLOSED: Seen = (Progress::NotSent, Code::Unavailable, Reason::ChannelClosed);
const QUEUED: Seen = (Progress::NotSent, Code::Unavailable, Reason::Queued);
const REFUSED: Seen = (Progress::Refused, Code::Unavailable, Reason::StreamRefused);
const GO_AWAY: Seen = (Progress::Refused, Code::Unavailable, Reason::GoAway);
const GO_AWAY_ERROR: Seen = (Progress::Refused, Code::Unavailable, Reason::GoAwayError);
/// CONTRACT H4
const LOST: Seen = (Progress::Reached, Code::Unavailable, Reason::ConnectionLost);
const UNRECOGNISED: Seen = (Progress::Reached, Code::Unknown, Reason::Unrecognised);

fn verdict(error: &BoxError) -> Seen {
    log::listen();
    let verdict = __internal::failure(&**error);
    assert_eq!(verdict.hint, None, "an error is no server's word");
    (verdict.progress, verdict.code, verdict.reason)
}
