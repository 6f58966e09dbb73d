use std::time::Duration;

use tokio::time::Instant;

/// Failed picks of a channel with several endpoints, without an answer between them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Streak {
    picks: u32,
    began: Option<Instant>,
}

/// Concurrent calls that pick a dead endpoint fail at once, the others are answered later: within
/// this time a streak of many calls says nothing about the live endpoints.
const LASTS: Duration = Duration::from_millis(100);

impl Streak {
    /// Adds a failed pick, the `own`-th in a row of its call. Returns whether all endpoints count
    /// as down after `enough` of them.
    pub(crate) fn fails(&mut self, own: u32, enough: u32, now: Instant) -> bool {
        self.picks = self.picks.saturating_add(1);
        let began = *self.began.get_or_insert(now);
        let lasts = now.saturating_duration_since(began) >= LASTS;
        self.picks >= enough && (own >= enough || lasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT W10
    #[test]
    fn a_burst_of_calls_that_pick_a_dead_endpoint_is_not_all_endpoints() {
        let now = Instant::now();
        let mut burst = Streak::default();
        assert!((0..30).all(|_| !burst.fails(2, 9, now)));
        let later = now + LASTS;
        assert!(burst.fails(1, 9, later), "and no answer since");
    }

    // CONTRACT W10
    #[test]
    fn one_call_that_fails_so_often_in_a_row_shows_that_all_are_down() {
        let now = Instant::now();
        let mut streak = Streak::default();
        let down: Vec<u32> = (1..=9).filter(|own| streak.fails(*own, 9, now)).collect();
        assert_eq!(down, [9]);
    }
}
