//! What the turns of a subject found.

use std::iter::zip;

use benches::rounds::median;

use crate::turn::Turn;

/// A turn, and what CPU time of the client a call took in it, in ns.
#[derive(Clone, Copy)]
pub(crate) struct Turned {
    pub(crate) turn: Turn,
    pub(crate) cpu: f64,
}

/// What a subject found, in the middle of its rounds.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) name: &'static str,
    pub(crate) calls: f64,
    pub(crate) cpu: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Of the first subject's, in the middle of the ratios of each round.
    pub(crate) calls_of_first: f64,
    pub(crate) cpu_of_first: f64,
}

impl Found {
    /// Of all turns by subject; the first one is tonic's channel.
    pub(crate) fn all(turns: &[(&'static str, Vec<Turned>)]) -> Vec<Self> {
        let first = turns.first().map(|(_, turns)| turns.as_slice());
        let first = first.unwrap_or_default();
        let of = |(name, turns): &(&'static str, Vec<Turned>)| Self::new(name, turns, first);
        turns.iter().map(of).collect()
    }

    fn new(name: &'static str, turns: &[Turned], first: &[Turned]) -> Self {
        let middle = |value: fn(&Turned) -> f64| median(turns.iter().map(value));
        let ratio = |value: fn(&Turned) -> f64| {
            median(zip(turns, first).map(|(turn, first)| value(turn) / value(first)))
        };
        let (calls, cpu) = (
            (|it: &Turned| it.turn.calls_a_second) as fn(&Turned) -> f64,
            (|it: &Turned| it.cpu) as fn(&Turned) -> f64,
        );
        Self {
            name,
            calls: middle(calls),
            cpu: middle(cpu),
            p50: middle(|it| it.turn.p50),
            p99: middle(|it| it.turn.p99),
            calls_of_first: ratio(calls),
            cpu_of_first: ratio(cpu),
        }
    }
}
