use std::fmt;

/// Returned for a stream that can't be built, with all faults at once.
///
/// ```
/// use grpc_resilience::streams::Resumable;
/// use std::time::Duration;
///
/// # async fn open(_: tonic::Request<u64>) -> Result<tonic::Response<tonic::Streaming<u64>>, tonic::Status> {
/// #     unimplemented!()
/// # }
/// let faults = Resumable::builder(tonic::Request::new(0), open)
///     .token(|item: &u64| Some(*item))
///     .idle_timeout(Duration::ZERO)
///     .build()
///     .unwrap_err();
/// let setters: Vec<_> = faults.faults().iter().map(|fault| fault.setter()).collect();
/// assert_eq!(setters, ["resume", "idle_timeout"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvalidStream {
    faults: Vec<Fault>,
}

/// The fault of one setting; see [`InvalidStream`].
///
/// ```
/// use grpc_resilience::streams::Resumable;
///
/// # async fn open(_: tonic::Request<u64>) -> Result<tonic::Response<tonic::Streaming<u64>>, tonic::Status> {
/// #     unimplemented!()
/// # }
/// let invalid = Resumable::builder(tonic::Request::new(0), open)
///     .token(|item: &u64| Some(*item))
///     .resume(|_, item| item + 1)
///     .max_held(10)
///     .build()
///     .unwrap_err();
/// let text = invalid.faults()[0].to_string();
/// assert_eq!(text, "max_held: it needs `hold_until_token`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    setter: &'static str,
    text: &'static str,
}

impl InvalidStream {
    /// All faults, in the order of the settings.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl Fault {
    /// The setter that the value was given to.
    #[must_use]
    pub fn setter(&self) -> &'static str {
        self.setter
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setter, self.text)
    }
}

impl fmt::Display for InvalidStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream can't be built")?;
        for (number, fault) in self.faults.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { "; " })?;
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidStream {}

/// Collects faults.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault unless the condition holds.
    pub(super) fn check(&mut self, setter: &'static str, is_so: bool, text: &'static str) {
        if !is_so {
            self.0.push(Fault { setter, text });
        }
    }

    pub(super) fn into_result(self) -> Result<(), InvalidStream> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(InvalidStream { faults: self.0 })
    }
}
