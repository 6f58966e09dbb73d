use std::time::Duration;

use grpc_resilience::GiveUp;
use grpc_resilience::grpc::Code;
use serde::Serialize;
use tonic::Status;

use crate::counted::Sends;
use crate::scenarios::Scenario;

/// What one call came to.
pub(crate) struct Answer {
    /// `None` is OK.
    pub(crate) status: Option<Status>,
    pub(crate) replies: Vec<String>,
}

/// What is printed of a scenario. Of many calls, the first that failed speaks for all.
#[derive(Serialize)]
pub(crate) struct Outcome {
    scenario: &'static str,
    calls: usize,
    failed: usize,
    code: &'static str,
    message: String,
    gave_up: Option<&'static str>,
    replies: Vec<String>,
    elapsed_ms: u128,
    sends: u32,
}

impl Outcome {
    pub(crate) fn of(
        scenario: &'static Scenario,
        answers: Vec<Answer>,
        sends: &Sends,
        elapsed: Duration,
    ) -> Self {
        let mut failures = answers.iter().filter_map(|answer| answer.status.as_ref());
        let failed = failures.clone().count();
        let failure = failures.next();
        Self {
            scenario: scenario.name,
            calls: answers.len(),
            failed,
            code: failure.map_or(Code::Ok, |it| it.code().into()).name(),
            message: failure.map_or_else(String::new, |it| it.message().to_owned()),
            gave_up: failure.and_then(|it| GiveUp::find(it)).map(GiveUp::name),
            replies: answers.into_iter().flat_map(|it| it.replies).collect(),
            elapsed_ms: elapsed.as_millis(),
            sends: sends.count(),
        }
    }
}
