use crate::channel::connectivity::Connectivity;

/// How many endpoints are in each state, so that the state of all is known without looking at all.
#[derive(Debug, Default)]
pub(super) struct Tally {
    states: [usize; 5],
    /// Endpoints with a connection, healthy or not.
    connected: usize,
}

fn place(state: Connectivity) -> usize {
    match state {
        Connectivity::Ready => 0,
        Connectivity::Connecting => 1,
        Connectivity::Idle => 2,
        Connectivity::TransientFailure => 3,
        Connectivity::Shutdown => 4,
    }
}

impl Tally {
    fn count(&mut self, state: Connectivity) -> Option<&mut usize> {
        self.states.get_mut(place(state))
    }

    pub(super) fn add(&mut self, state: Connectivity, is_connected: bool) {
        self.connected += usize::from(is_connected);
        if let Some(count) = self.count(state) {
            *count += 1;
        }
    }

    pub(super) fn remove(&mut self, state: Connectivity, is_connected: bool) {
        self.connected = self.connected.saturating_sub(usize::from(is_connected));
        if let Some(count) = self.count(state) {
            debug_assert!(*count > 0, "each endpoint was added");
            *count = count.saturating_sub(1);
        }
    }

    pub(super) fn has(&self, state: Connectivity) -> bool {
        self.states
            .get(place(state))
            .is_some_and(|count| *count > 0)
    }

    /// How many endpoints are healthy, and how many have a connection (CONTRACT L8).
    pub(super) fn health(&self) -> (usize, usize) {
        let [ready, ..] = self.states;
        (ready, self.connected)
    }

    /// gRPC's rule for the state of several endpoints.
    pub(super) fn state(&self) -> Connectivity {
        let order = [
            Connectivity::Ready,
            Connectivity::Connecting,
            Connectivity::Idle,
            Connectivity::TransientFailure,
        ];
        let mut found = order.into_iter().filter(|state| self.has(*state));
        found.next().unwrap_or(Connectivity::Shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Connectivity::{Connecting, Idle, Ready, Shutdown, TransientFailure};

    // CONTRACT C4
    #[test]
    fn a_channel_is_as_well_as_its_best_endpoint() {
        for (states, expected) in [
            (vec![TransientFailure, Ready, Connecting], Ready),
            (vec![TransientFailure, Connecting], Connecting),
            (vec![TransientFailure, Idle], Idle),
            (vec![Idle, Connecting], Connecting),
            (vec![TransientFailure, TransientFailure], TransientFailure),
            (vec![Shutdown], Shutdown),
        ] {
            let mut tally = Tally::default();
            for state in &states {
                tally.add(*state, false);
            }
            assert_eq!(tally.state(), expected, "{states:?}");
            for state in &states {
                tally.remove(*state, false);
            }
            assert_eq!(tally.state(), Shutdown);
        }
    }
}
