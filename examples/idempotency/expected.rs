//! What must have happened.

use grpc_resilience::GiveUp;
use grpc_resilience::classify::Reason;
use grpc_resilience::grpc::Code;
use grpc_resilience::idempotency::Source;

use crate::caller::Row;
use crate::proto::depot_methods::SHIFT;

/// Who declared the method, and what became of the call; in the order of the rows.
fn expected() -> [(Source, Becomes); 8] {
    use Becomes::{Answered, GivenUp, Once};
    [
        (Source::Proto, Answered),
        (Source::Path, Answered),
        (Source::Glob("/depot.v1.Depot/Get*".to_owned()), Answered),
        (Source::Path, GivenUp),
        (Source::Closure(0), Answered),
        (Source::Key(KEY), Once),
        (Source::Undeclared, Answered),
        (Source::Undeclared, GivenUp),
    ]
}

const KEY: http::HeaderName = http::HeaderName::from_static("idempotency-key");

#[derive(Clone, Copy)]
enum Becomes {
    /// Repeated; it ran twice.
    Answered,
    /// Repeated; it ran once.
    Once,
    /// Not repeated.
    GivenUp,
}

impl Becomes {
    /// How often it reached the application and ran there, and what the caller got.
    fn facts(self) -> (u32, u32, Code, Option<GiveUp>) {
        match self {
            Self::Answered => (2, 2, Code::Ok, None),
            Self::Once => (2, 1, Code::Ok, None),
            Self::GivenUp => (1, 1, Code::Unavailable, Some(GiveUp::NotIdempotent)),
        }
    }
}

/// What is not so.
pub(crate) fn surprises(rows: &[Row], unannotated: &[String]) -> Vec<String> {
    let expected = expected();
    let mut surprises = Vec::new();
    if rows.len() != expected.len() {
        surprises.push(format!("{} rows", rows.len()));
    }
    for (row, (source, becomes)) in rows.iter().zip(expected) {
        if !is_so(row, &source, becomes) {
            surprises.push(format!("{row:?}"));
        }
    }
    if unannotated != [SHIFT.path()] {
        surprises.push(format!("unannotated methods: {unannotated:?}"));
    }
    surprises
}

fn is_so(row: &Row, source: &Source, becomes: Becomes) -> bool {
    let safety = row.option.unwrap_or(row.explanation.safety());
    let facts = (row.count.reached, row.count.ran, row.code, row.give_up);
    // What was still queued as the connection of the call before closed never left, and counts for
    // nothing.
    let sent = row.failed.iter().map(|attempt| attempt.verdict);
    let sent = sent.filter(|verdict| !verdict.progress.is_unprocessed());
    let reasons = sent.map(|verdict| verdict.reason);
    row.explanation.source() == source
        && safety.may_repeat() == (row.attempts > 1)
        && row.attempts == row.count.reached
        && reasons.eq([Reason::ConnectionLost])
        && facts == becomes.facts()
}
