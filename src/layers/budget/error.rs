use std::time::Duration;

/// A budget that can't be: said at construction.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBudget {
    /// A6 wants more than 0 and at most 1000 tokens.
    #[error("a token bucket holds 1 to 1000 tokens, not {0}")]
    MaxTokens(u32),
    /// A6 wants a ratio above zero, and cuts it off after three decimals.
    #[error("the token ratio must be a number of at least 0.001, not {0}")]
    TokenRatio(f64),
    /// More than ten extra attempts a call, or less than what three decimals can tell.
    #[error("a budget is 0 or 0.001 to 1000 percent, not {0}")]
    Percent(f64),
    /// Time is counted in milliseconds.
    #[error("the window of a budget is at least 1 ms, not {0:?}")]
    Window(Duration),
}
