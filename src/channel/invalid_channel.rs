use std::fmt;

/// Returned for a channel that can't be built, with all faults at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use grpc_resilience::channel::Channel;
///
/// let faults = Channel::builder("orders").max_connections(0).build().unwrap_err();
/// let setters: Vec<_> = faults.faults().iter().map(|fault| fault.setter()).collect();
/// assert_eq!(setters, ["builder", "max_connections"]);
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvalidChannel {
    faults: Vec<Fault>,
}

/// The fault of one setting; see [`InvalidChannel`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use grpc_resilience::channel::Channel;
///
/// let builder = Channel::builder("ipv4:10.0.0.1").max_waiting(0);
/// let invalid = builder.build().unwrap_err();
/// let text = invalid.faults()[0].to_string();
/// assert_eq!(text, "max_waiting: it must be greater than zero");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    setter: &'static str,
    text: String,
}

impl InvalidChannel {
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

impl fmt::Display for InvalidChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel can't be built")?;
        for (number, fault) in self.faults.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { "; " })?;
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidChannel {}

/// Collects faults.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, setter: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.0.push(Fault { setter, text });
    }

    /// Adds a fault unless the condition holds.
    pub(super) fn check(
        &mut self,
        setter: &'static str,
        is_so: bool,
        text: impl FnOnce() -> String,
    ) {
        if !is_so {
            self.add(setter, text());
        }
    }

    pub(super) fn into_error(self) -> Option<InvalidChannel> {
        (!self.0.is_empty()).then_some(InvalidChannel { faults: self.0 })
    }
}
