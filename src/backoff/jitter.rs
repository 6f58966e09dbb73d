use std::time::Duration;

/// How a random number spreads a delay `d`, so that clients which failed together do not return
/// together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// `d` itself. Clients that failed together stay together; use it in tests.
    None,
    /// `U(0, d)`: the widest spread and the least load on the server. The default.
    #[default]
    Full,
    /// `d/2 + U(0, d/2)`: half of the delay is certain.
    Equal,
    /// `min(max, U(initial, 3 * previous))`: grows from the previous delay; `previous` is `initial`
    /// at first.
    Decorrelated,
    /// `d * U(0.8, 1.2)`, as gRFC A6 defines it; may exceed the maximum by up to 20 %.
    A6,
}

impl Jitter {
    /// Spreads `base` by the random number `unit` in `[0, 1)`.
    pub(super) fn spread(
        self,
        base: Duration,
        initial: Duration,
        max: Duration,
        previous: Duration,
        unit: f64,
    ) -> Duration {
        match self {
            Self::None => base,
            Self::Full => scale(base, unit),
            Self::Equal => scale(base, unit.mul_add(0.5, 0.5)),
            Self::A6 => scale(base, unit.mul_add(0.4, 0.8)),
            Self::Decorrelated => {
                let upper = scale(previous.max(initial), 3.0);
                initial
                    .saturating_add(scale(upper.saturating_sub(initial), unit))
                    .min(max)
            }
        }
    }
}

/// `duration * factor`, saturating.
pub(super) fn scale(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}
