//! The error that makes a transport reset a stream with CANCEL, with tonic.

/// The error as the type of boxed bodies' errors, where that is one of the usual two.
pub(super) fn cancelled_as<E: 'static>() -> Option<E> {
    use std::any::Any;
    use std::error::Error;

    let status: Box<dyn Any> = Box::new(cancel());
    let boxed: Box<dyn Any> = Box::new(Box::<dyn Error + Send + Sync>::from(cancel()));
    let error = status.downcast::<E>().or_else(|_| boxed.downcast::<E>());
    error.ok().map(|error| *error)
}

pub(super) fn cancel() -> tonic::Status {
    let mut status = tonic::Status::cancelled("this attempt was given up");
    status.set_source(std::sync::Arc::new(h2::Error::from(h2::Reason::CANCEL)));
    status
}
