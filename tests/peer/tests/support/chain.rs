//! Writes an error's source chain down: the type of each link, and every predicate of it that holds.

use std::error::Error;
use std::io;

/// The chain as one line, outermost first; after a type what its predicates say.
pub(crate) fn of(error: &(dyn Error + 'static)) -> String {
    let mut links = vec![link(error)];
    let mut source = error.source();
    while let Some(error) = source {
        links.push(link(error));
        source = error.source();
    }
    links.join(" > ")
}

fn link(error: &(dyn Error + 'static)) -> String {
    if error.is::<tonic::transport::Error>() {
        "transport::Error".to_owned()
    } else if error.is::<tonic::ConnectError>() {
        "ConnectError".to_owned()
    } else if error.is::<tonic::TimeoutExpired>() {
        "TimeoutExpired".to_owned()
    } else if error.is::<tower::buffer::error::ServiceError>() {
        "buffer::ServiceError".to_owned()
    } else if error.is::<tonic::Status>() {
        // Its code depends on whether some other crate in the build turned tonic's `server` feature on.
        "Status".to_owned()
    } else if let Some(error) = error.downcast_ref::<hyper::Error>() {
        format!("hyper::Error{}", hyper(error))
    } else if let Some(error) = error.downcast_ref::<h2::Error>() {
        format!("h2::Error{}", h2(error))
    } else if let Some(error) = error.downcast_ref::<io::Error>() {
        io(error)
    } else {
        format!("{:?}", error.to_string())
    }
}

fn hyper(error: &hyper::Error) -> String {
    holding([
        ("canceled", error.is_canceled()),
        ("closed", error.is_closed()),
        ("user", error.is_user()),
        ("timeout", error.is_timeout()),
        ("parse", error.is_parse()),
        ("incomplete", error.is_incomplete_message()),
    ])
}

fn h2(error: &h2::Error) -> String {
    let reason = error.reason().map(|reason| format!("{reason:?}"));
    let io = error.get_io().map(|error| format!("{:?}", error.kind()));
    holding([
        ("reset", error.is_reset()),
        ("go_away", error.is_go_away()),
        ("remote", error.is_remote()),
        ("library", error.is_library()),
        ("io", error.is_io()),
        (reason.as_deref().unwrap_or_default(), reason.is_some()),
        (io.as_deref().unwrap_or_default(), io.is_some()),
    ])
}

/// `source()` of an `io::Error` leaves out the error it wraps and goes on with that one's source.
fn io(error: &io::Error) -> String {
    match error.get_ref() {
        Some(wrapped) => format!("io::Error({:?} of {})", error.kind(), link(wrapped)),
        None => format!("io::Error({:?})", error.kind()),
    }
}

fn holding<const N: usize>(predicates: [(&str, bool); N]) -> String {
    let names: Vec<_> = predicates
        .iter()
        .filter(|(_, holds)| *holds)
        .map(|(name, _)| *name)
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("({})", names.join(" "))
    }
}
