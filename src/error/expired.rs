use crate::call::{Deadline, Phase, Trace};
use crate::classify::Reason;
use crate::grpc::Code;

use super::{Error, GiveUp};

impl Error {
    /// The deadline passed: says in which phase and after which failure (CONTRACT R17).
    pub(crate) fn expired(deadline: Deadline, trace: Option<&Trace>) -> Self {
        let phase = trace.map_or(Phase::Queued, Trace::phase);
        let last = trace.and_then(Trace::last_failure);
        let mut message = format!(
            "the deadline of {:?} passed while {phase}",
            deadline.timeout()
        );
        if let Some(last) = &last {
            message = format!("{message}; last failure: {last}");
        }
        Self::local(Code::DeadlineExceeded, Reason::DeadlineExceeded, message)
            .caused_by(last)
            .given_up(GiveUp::Deadline, trace.map_or(0, Trace::attempts))
    }
}
