use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};

/// What a generated client needs of a channel that its clones share, in one word.
pub trait Transport:
    GrpcService<
        Body,
        ResponseBody: HttpBody<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
        Error: Into<StdError> + Send,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
}

impl<T> Transport for T
where
    T: GrpcService<Body> + Clone + Send + 'static,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
    T::Error: Send,
    T::Future: Send,
{
}
