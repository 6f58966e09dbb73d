/// What outer layers do with the request; used to detect layers in a wrong order.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is the mark of another layer"
)]
pub(super) struct Above {
    /// An attempt timeout layer ends it.
    pub(super) ends: bool,
    /// A wait-for-ready layer holds it.
    pub(super) holds: bool,
    /// Its deadline is the default of a deadline layer.
    pub(super) defaults: bool,
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

impl Above {
    /// Records that a `Resilience` stack holds the request; whether an outer one does too.
    pub(super) fn stack(&mut self) -> bool {
        self.stacks = match self.stacks {
            Stacks::None => Stacks::One,
            Stacks::One | Stacks::Several => Stacks::Several,
        };
        self.is_in_two_stacks()
    }

    /// Whether one stack lies over another.
    pub(super) fn is_in_two_stacks(self) -> bool {
        self.stacks == Stacks::Several
    }
}
