use std::time::Duration;

/// Returned for an invalid budget.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBudget {
    /// `max_tokens` is 0 or greater than 1000, the limit of gRFC A6.
    #[error("max_tokens is {0}: set 1 to 1000")]
    MaxTokens(u32),
    /// `token_ratio` is less than 0.001 or not finite. gRFC A6 has three decimals.
    #[error("token_ratio is {0}: set a number of at least 0.001")]
    TokenRatio(f64),
    /// The percentage allows more than ten extra attempts for each call, or is less than 0.001.
    #[error("the percentage is {0}: set 0, or 0.001 to 1000")]
    Percent(f64),
    /// The window is shorter than 1 ms, the resolution of the budget.
    #[error("the window is {0:?}: set at least 1 ms")]
    Window(Duration),
}
