//! What was seen, and what was promised.

use std::time::Duration;

use comfy_table::Table;
use grpc_resilience_examples::show::promise::Promise;
use grpc_resilience_examples::show::table::compare;

use crate::args::Experiment;
use crate::run::{Both, Figures};
use crate::watcher::Seen;

/// After the server is back, or passes bytes again: a wait of half a second at most, and an attempt
/// that began before.
const BACK: Duration = Duration::from_millis(1_500);

impl Figures {
    fn sum(&self, of: impl Fn(&Seen) -> u64) -> u64 {
        self.watchers.iter().map(of).sum()
    }

    fn longest_silence(&self) -> Duration {
        let silences = self.watchers.iter().map(|it| it.longest_silence);
        silences.max().unwrap_or_default()
    }

    fn fewest_and_most_gaps(&self) -> (u32, u32) {
        let gaps = || self.watchers.iter().map(|it| it.gaps);
        let (fewest, most) = (gaps().min(), gaps().max());
        (fewest.unwrap_or_default(), most.unwrap_or_default())
    }

    fn silence(&self) -> String {
        format!("{:.2} s", self.longest_silence().as_secs_f64())
    }

    fn gaps(&self) -> String {
        let (fewest, most) = self.fewest_and_most_gaps();
        if fewest == most {
            return most.to_string();
        }
        format!("{fewest} to {most}")
    }
}

/// One column a channel.
pub(crate) fn table(experiment: Experiment, both: &Both) -> Table {
    let columns = [
        ("over our channel", both.ours.clone()),
        ("over tonic's", both.tonics.clone()),
    ];
    compare(
        experiment.name(),
        &columns,
        &[
            ("events to all watchers", |it| {
                it.sum(|seen| seen.events).to_string()
            }),
            ("streams opened", |it| {
                it.sum(|seen| seen.opens.into()).to_string()
            }),
            ("events lost without a word", |it| {
                it.sum(|seen| seen.lost).to_string()
            }),
            ("events doubled", |it| {
                it.sum(|seen| seen.doubled).to_string()
            }),
            ("gaps told to a watcher", Figures::gaps),
            ("events in these gaps, read again", |it| {
                it.sum(|seen| seen.skipped).to_string()
            }),
            ("longest silence", Figures::silence),
        ],
    )
}

/// The same over both channels.
pub(crate) fn promises(experiment: Experiment, both: &Both) -> Vec<Promise> {
    let both = [("ours", &both.ours), ("tonic's", &both.tonics)];
    both.into_iter()
        .flat_map(|(channel, figures)| of_channel(experiment, channel, figures))
        .collect()
}

fn of_channel(experiment: Experiment, channel: &str, figures: &Figures) -> Vec<Promise> {
    let name = experiment.name();
    let (lost, doubled) = (
        figures.sum(|seen| seen.lost),
        figures.sum(|seen| seen.doubled),
    );
    let expected = match experiment {
        Experiment::Compactions => figures.times,
        _ => 0,
    };
    let gaps = figures.fewest_and_most_gaps();
    let down = match experiment {
        Experiment::Kills | Experiment::Compactions => Duration::from_millis(300),
        Experiment::Freezes => Duration::from_secs(2),
        Experiment::Ends => Duration::ZERO,
    };
    let silence = figures.longest_silence();
    vec![
        Promise::new(
            name,
            format!("over {channel}: 0 events lost or doubled"),
            format!(
                "{lost} and {doubled} of {}",
                figures.sum(|seen| seen.events)
            ),
            lost + doubled == 0 && figures.sum(|seen| seen.events) > 0,
        ),
        Promise::new(
            name,
            format!("over {channel}: {expected} gaps told to each watcher"),
            figures.gaps(),
            gaps == (expected, expected),
        ),
        Promise::new(
            name,
            format!("over {channel}: no silence above {:?}", down + BACK),
            figures.silence(),
            silence <= down + BACK,
        )
        .of_times(),
    ]
}
