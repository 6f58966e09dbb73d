use std::fmt;

/// Returned for a drain that can't be built, with all faults at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use grpc_resilience::Drain;
/// use std::time::Duration;
///
/// let builder = Drain::builder()
///     .notice(Duration::ZERO)
///     .grace(Duration::from_secs(4));
/// let faults = builder.build().unwrap_err();
/// let setters: Vec<_> = faults.faults().iter().map(|fault| fault.setter()).collect();
/// assert_eq!(setters, ["notice", "grace"]);
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDrain {
    faults: Vec<Fault>,
}

/// The fault of one setting; see [`InvalidDrain`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use grpc_resilience::Drain;
/// use std::time::Duration;
///
/// let invalid = Drain::builder().grace(Duration::ZERO).build().unwrap_err();
/// let text = invalid.faults()[0].to_string();
/// assert_eq!(text, "grace: it must be longer than zero");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    setter: &'static str,
    text: String,
}

impl InvalidDrain {
    /// All faults, in the order of the settings.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self { faults }
    }
}

impl Fault {
    /// The setter that the value was given to.
    #[must_use]
    pub fn setter(&self) -> &'static str {
        self.setter
    }

    pub(super) fn new(setter: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { setter, text }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setter, self.text)
    }
}

impl fmt::Display for InvalidDrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the drain can't be built")?;
        for (number, fault) in self.faults.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { "; " })?;
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidDrain {}
