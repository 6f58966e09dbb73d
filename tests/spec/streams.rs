//! When an answer commits a call, and what becomes of streams. CONTRACT R6 to R8, B.

mod commit;
mod live;
mod untouched;

use test_protos::EchoResponse;
use tonic::{Status, Streaming};

/// The indices that a stream of answers held, and how it ended.
async fn indices(mut answers: Streaming<EchoResponse>) -> (Vec<u32>, Option<Status>) {
    let mut seen = Vec::new();
    loop {
        match answers.message().await {
            Ok(Some(answer)) => seen.push(answer.index),
            Ok(None) => return (seen, None),
            Err(status) => return (seen, Some(status)),
        }
    }
}
