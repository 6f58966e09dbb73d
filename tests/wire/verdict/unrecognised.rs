//! What nobody knows.

use std::io;

use super::super::support::log;
use super::{UNRECOGNISED, connecting, verdict};

// FIELD 4, DESIGN decision 3
#[tokio::test]
async fn an_error_that_nobody_knows_may_have_run_and_is_logged_once_in_a_process() {
    let of_a_connector = connecting::failed_in_a_connector_given_to_the_channel().await;
    for error in [
        of_a_connector,
        io::Error::other("of a stranger").into(),
        "odd".into(),
    ] {
        assert_eq!(verdict(&error), UNRECOGNISED);
    }
    let warnings = log::warnings();
    let said: Vec<_> = warnings
        .iter()
        .filter(|warning| warning.contains("unknown to grpc-resilience"))
        .collect();
    assert_eq!(said.len(), 1, "{warnings:?}");
    assert!(said[0].contains("chain="), "{warnings:?}");
}
