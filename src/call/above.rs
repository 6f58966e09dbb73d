use super::{AttemptEnd, Context};

/// What outer layers do with the request; used to detect layers in a wrong order.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is the mark of another layer"
)]
pub(super) struct Above {
    /// An attempt timeout layer ends it.
    ends: bool,
    /// A wait-for-ready layer holds it.
    holds: bool,
    /// Its deadline is the default of a deadline layer.
    defaults: bool,
    stacks: Stacks,
    /// A deadline layer has a timer for its deadline.
    pub(super) times: bool,
    /// Wait-for-ready leaves the wait to the channel.
    pub(super) leaves_wait: bool,
}

/// How many `Resilience` stacks hold the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stacks {
    #[default]
    None,
    One,
    Several,
}

impl Context {
    /// Records that an attempt timeout layer ends the request.
    pub(crate) fn end_as_attempt(&mut self, end: AttemptEnd) {
        self.above.ends = true;
        self.attempt_end = Some(end);
    }

    /// When an attempt timeout layer ends the attempt, if it does.
    #[cfg(feature = "channel")]
    pub(crate) fn attempt_end(&self) -> Option<AttemptEnd> {
        self.attempt_end
    }

    /// Whether an outer attempt timeout layer ends the request.
    pub(crate) fn ends_as_attempt(&self) -> bool {
        self.above.ends
    }

    /// Whether an outer attempt timeout layer ends the whole call. Resets the mark, because it does
    /// not hold for the attempts below.
    pub(crate) fn take_attempt_end(&mut self) -> bool {
        self.attempt_end = None;
        std::mem::take(&mut self.above.ends)
    }

    /// Sets whether the deadline is the default of a deadline layer rather than the caller's.
    #[inline]
    pub(crate) fn end_by_default(&mut self, is_default: bool) {
        self.above.defaults = is_default;
    }

    /// Whether the deadline is the default of a deadline layer.
    pub(crate) fn ends_by_default(&self) -> bool {
        self.above.defaults
    }

    /// Records that a `Resilience` stack holds the request; whether an outer one does too.
    pub(crate) fn stack(&mut self) -> bool {
        self.above.stacks = match self.above.stacks {
            Stacks::None => Stacks::One,
            Stacks::One | Stacks::Several => Stacks::Several,
        };
        self.is_in_two_stacks()
    }

    /// Whether one stack lies over another. That is one warning; their layers add none.
    pub(crate) fn is_in_two_stacks(&self) -> bool {
        self.above.stacks == Stacks::Several
    }

    /// Records that a wait-for-ready layer holds the request; whether an outer one does too.
    pub(crate) fn hold(&mut self) -> bool {
        std::mem::replace(&mut self.above.holds, true)
    }

    /// Whether an outer wait-for-ready layer holds the request.
    pub(crate) fn is_held(&self) -> bool {
        self.above.holds
    }
}
