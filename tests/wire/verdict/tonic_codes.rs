//! Why codes are useless: what tonic makes of the same events depends on its features.

use grpc_resilience::BoxError;
use tonic::{Code, Status};

use super::super::SERVER_FEATURE;
use super::{connecting, queued, reached, unprocessed};

pub(super) fn code(error: BoxError) -> Code {
    Status::from_error(error).code()
}

// FIELD 4; also proves which of the two builds this is.
// Over tonic alone: the table is of tonic's errors.
#[tokio::test]
async fn tonics_code_of_an_h2_error_is_unknown_without_its_server_feature() {
    let with_server = |code| if SERVER_FEATURE { code } else { Code::Unknown };
    let why = "to leave tonic's server feature out, build grpc-resilience-channel-only by itself";
    assert_eq!(
        code(unprocessed::refused().await),
        with_server(Code::Unavailable),
        "{why}"
    );
    for (reason, expected) in [
        (peer::Reason::INTERNAL_ERROR, Code::Internal),
        (peer::Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
    ] {
        let goaway = unprocessed::above_goaway(reason).await;
        assert_eq!(code(goaway), with_server(expected), "{why}");
        let reset = reached::reset(reason.0).await;
        assert_eq!(code(reset), with_server(expected), "{why}");
    }
}

// FIELD 4
// Over tonic alone: the table is of tonic's errors.
#[tokio::test]
async fn tonics_code_of_a_lost_connection_is_unknown_and_of_an_unsent_call_cancelled() {
    assert_eq!(code(connecting::refused().await), Code::Unavailable);
    assert_eq!(code(reached::closed().await), Code::Unknown);
    assert_eq!(code(reached::grpc_timeout().await), Code::Cancelled);
    let [_, waiting, queued] = queued::crowd([peer::Step::Close]).await;
    assert_eq!(code(waiting), Code::Unknown);
    assert_eq!(code(queued), Code::Cancelled);
}
