/// A bucket that can't be: said at construction.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBudget {
    /// A6 wants more than 0 and at most 1000 tokens.
    #[error("a token bucket holds 1 to 1000 tokens, not {0}")]
    MaxTokens(u32),
    /// A6 wants a ratio above zero, and cuts it off after three decimals.
    #[error("the token ratio must be a number of at least 0.001, not {0}")]
    TokenRatio(f64),
}
