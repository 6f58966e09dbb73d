use crate::report::CallReport;

use super::{CallOptions, Context};

/// Sets the options of one call.
///
/// ```
/// use grpc_resilience::call::CallOptionsExt;
/// use std::time::Duration;
///
/// let mut request = http::Request::new(());
/// request
///     .call_options()
///     .idempotent()
///     .max_attempts(2)
///     .timeout(Duration::from_millis(300));
/// ```
pub trait CallOptionsExt {
    /// The options of this call, all unset at first.
    fn call_options(&mut self) -> &mut CallOptions;

    /// A live report of this call, to be read during the call and afterwards.
    fn call_report(&mut self) -> CallReport;
}

impl<B> CallOptionsExt for http::Request<B> {
    fn call_options(&mut self) -> &mut CallOptions {
        Context::of(self.extensions_mut()).options_mut()
    }

    fn call_report(&mut self) -> CallReport {
        Context::of(self.extensions_mut()).trace_or_new().report()
    }
}

#[cfg(feature = "tonic")]
impl<T> CallOptionsExt for tonic::Request<T> {
    fn call_options(&mut self) -> &mut CallOptions {
        Context::of(self.extensions_mut()).options_mut()
    }

    fn call_report(&mut self) -> CallReport {
        Context::of(self.extensions_mut()).trace_or_new().report()
    }
}
