//! When a channel uses endpoints that are not healthy (CONTRACT L8): pure decisions.

/// Whether too few of the connected endpoints are healthy.
#[derive(Debug)]
pub(in crate::channel) struct Panic {
    /// `None` if health always counts.
    below: Option<f64>,
    is_on: bool,
}

impl Panic {
    pub(in crate::channel) fn new(below: Option<f64>) -> Self {
        Self {
            below,
            is_on: false,
        }
    }

    pub(in crate::channel) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Of the `connected` endpoints these are `healthy`; the fraction that is needed, if the panic
    /// begins or ends by it. Addresses without a connection do not count.
    pub(in crate::channel) fn look(&mut self, healthy: usize, connected: usize) -> Option<f64> {
        let below = self.below?;
        let count = |it: usize| f64::from(u32::try_from(it).unwrap_or(u32::MAX));
        let is_on = count(healthy) < below * count(connected);
        (std::mem::replace(&mut self.is_on, is_on) != is_on).then_some(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT L8
    #[test]
    fn a_panic_begins_below_the_fraction_of_connected_endpoints() {
        for (below, healthy, connected, is_on) in [
            (0.5, 2, 4, false),
            (0.5, 1, 4, true),
            (0.5, 0, 0, false),
            (0.5, 0, 1, true),
            (1.0, 3, 4, true),
            (1.0, 4, 4, false),
            (0.01, 0, 1, true),
            (0.01, 1, 100, false),
        ] {
            let mut panic = Panic::new(Some(below));
            assert_eq!(panic.look(healthy, connected), is_on.then_some(below));
            assert_eq!(panic.is_on(), is_on, "{healthy} of {connected}, {below}");
        }
    }

    // CONTRACT L8
    #[test]
    fn begin_and_end_are_told_once() {
        let mut panic = Panic::new(Some(0.5));
        let told = [(4, 4), (1, 4), (0, 4), (2, 4), (4, 4)].map(|(healthy, connected)| {
            let is_told = panic.look(healthy, connected).is_some();
            (is_told, panic.is_on())
        });
        let (no, yes) = ((false, false), (true, true));
        assert_eq!(told, [no, yes, (false, true), (true, false), no]);
    }

    // CONTRACT L8
    #[test]
    fn without_the_setting_there_is_none() {
        let mut panic = Panic::new(None);
        assert_eq!((panic.look(0, 5), panic.is_on()), (None, false));
    }
}
