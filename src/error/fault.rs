use std::fmt;

/// A setting that can't be: what is wrong with it, and the setter that it was given to.
///
/// A builder that returns an error returns all faults of its settings at once.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use grpc_resilience::channel::Channel;
///
/// let builder = Channel::builder("ipv4:10.0.0.1").max_waiting(0);
/// let invalid = builder.build().unwrap_err();
/// let fault = &invalid.faults()[0];
/// assert_eq!(fault.setter(), "max_waiting");
/// assert_eq!(fault.to_string(), "max_waiting: it must be greater than zero");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    setter: &'static str,
    text: String,
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

/// Collects faults, in the order of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, setter: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.0.push(Fault { setter, text });
    }

    /// Adds a fault unless the condition holds.
    pub(crate) fn check(
        &mut self,
        setter: &'static str,
        is_so: bool,
        text: impl FnOnce() -> String,
    ) {
        if !is_so {
            self.add(setter, text());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_slice(&self) -> &[Fault] {
        &self.0
    }

    /// Writes the text of an error that has them all.
    pub(crate) fn write(&self, f: &mut fmt::Formatter<'_>, failed: &str) -> fmt::Result {
        f.write_str(failed)?;
        for (number, fault) in self.0.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { "; " })?;
            fmt::Display::fmt(fault, f)?;
        }
        Ok(())
    }
}
