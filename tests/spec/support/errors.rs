//! Errors, and what led to them.

use std::error::Error as StdError;

use grpc_resilience::Error;
use tonic::Status;

/// The error and what led to it: of an error of ours its cause comes next, or else its status.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let ours = error.downcast_ref::<Error>();
        let cause = ours.and_then(Error::cause).map(|cause| cause as _);
        cause.or_else(|| (*error).source())
    })
}

/// The texts of the sources, the error itself left out.
pub(crate) fn sources(status: &Status) -> String {
    let text = |link: &(dyn StdError + 'static)| match link.downcast_ref::<Error>() {
        Some(ours) => format!("{ours}; {}", ours.status()),
        None => link.to_string(),
    };
    let texts: Vec<String> = chain(status).skip(1).map(text).collect();
    texts.join("\n")
}

/// Our errors in the chain, outermost first.
pub(crate) fn ours(status: &Status) -> Vec<&Error> {
    chain(status)
        .filter_map(|cause| cause.downcast_ref())
        .collect()
}

pub(crate) fn has<E: StdError + 'static>(status: &Status) -> bool {
    chain(status).any(<dyn StdError>::is::<E>)
}
