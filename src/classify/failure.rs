use std::error::Error;
use std::sync::Once;

use crate::events;
use crate::grpc::Code;

use super::tonic_transport::{self, repeats_source};
use super::{Progress, Reason, Verdict, chain};

static UNRECOGNISED: Once = Once::new();

/// Classifies an error by the types in its source chain.
///
/// Without the `tonic` feature it knows no transport's errors. An unknown error is
/// [`Progress::Reached`] and [`Code::Unknown`], and is logged once in the life of the process.
///
/// Use it for a request without a response head. After the head the same types prove nothing: a
/// refused stream's error from a response body does not show that the application did not run.
#[must_use]
pub fn failure(error: &(dyn Error + 'static)) -> Verdict {
    if let Some(verdict) = tonic_transport::verdict(error) {
        return verdict;
    }
    UNRECOGNISED.call_once(|| {
        events::error_unknown(&display_chain(error));
    });
    Verdict::new(Progress::Reached, Code::Unknown, Reason::Unrecognised)
}

/// The messages of a chain, outermost first, without repetitions.
pub(crate) fn display_chain(error: &(dyn Error + 'static)) -> String {
    display_chain_until(error, |_| false)
}

/// Like [`display_chain`], but stops before the first error for which `ends` is true.
pub(crate) fn display_chain_until(
    error: &(dyn Error + 'static),
    ends: impl Fn(&(dyn Error + 'static)) -> bool,
) -> String {
    let mut texts: Vec<String> = chain(error)
        .take_while(|cause| !ends(*cause))
        .filter(|cause| !repeats_source(*cause))
        .map(ToString::to_string)
        .collect();
    texts.dedup();
    texts.join(": ")
}
