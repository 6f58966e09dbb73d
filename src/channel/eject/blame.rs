use crate::grpc::Code;

/// What ejection takes a failed call for (CONTRACT O2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The answer is the application's, and shows that the endpoint works.
    Answered,
    /// The failure says nothing about the endpoint.
    None,
    /// A failure that counts in the rate of failures. A request may be poisonous, and fail wherever
    /// it goes, so it does not count as one of several in a row.
    Rate,
    /// A failure that counts in both rules.
    Both,
}

impl Blame {
    /// Of a call that was answered with this code.
    pub(crate) fn of(code: Code) -> Self {
        match code {
            Code::Unavailable | Code::DataLoss => Self::Both,
            Code::Internal => Self::Rate,
            // It is full, or the caller has used up a quota; or the call was cancelled.
            Code::ResourceExhausted | Code::Cancelled => Self::None,
            _ => Self::Answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT O2
    #[test]
    fn an_answer_of_the_application_is_no_failure() {
        for (code, expected) in [
            (Code::Unavailable, Blame::Both),
            (Code::DataLoss, Blame::Both),
            (Code::Internal, Blame::Rate),
            (Code::ResourceExhausted, Blame::None),
            (Code::Cancelled, Blame::None),
            (Code::Ok, Blame::Answered),
            (Code::NotFound, Blame::Answered),
            (Code::Unknown, Blame::Answered),
            (Code::DeadlineExceeded, Blame::Answered),
            (Code::PermissionDenied, Blame::Answered),
            (Code::Aborted, Blame::Answered),
        ] {
            assert_eq!(Blame::of(code), expected, "{code:?}");
        }
    }
}
