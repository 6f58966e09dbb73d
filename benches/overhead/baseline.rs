use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use benches::{Answering, Failure};
use serde::{Deserialize, Serialize};

use crate::measured::Measured;

/// What may be added to a count before the gate fails: 3 %.
const GROWTH: f64 = 1.03;
/// Two runs of the same build differ by less: 0.2 % of a bare call, and the odd buffer that grows.
const NOISE: Counts = Counts {
    instructions: 20.0,
    allocations: 0.01,
};

/// The counts that are compared, of a call on top of a bare one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Counts {
    instructions: f64,
    allocations: f64,
}

/// Counts by answering and name, as committed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// Another compiler counts otherwise.
    compiler: String,
    counts: BTreeMap<String, BTreeMap<String, Counts>>,
}

impl Baseline {
    pub(crate) fn new() -> Self {
        let version = Command::new("rustc").arg("--version").output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Self {
            compiler: version.unwrap_or_default().trim().to_owned(),
            counts: BTreeMap::new(),
        }
    }

    /// Takes in what was measured of ours.
    pub(crate) fn add(&mut self, answering: Answering, measured: &[Measured]) {
        let counts = self.counts.entry(format!("{answering:?}")).or_default();
        for one in measured.iter().filter(|one| one.group.is_ours()) {
            let found = Counts {
                instructions: one.instructions.round(),
                allocations: one.allocations,
            };
            counts.insert(one.name.to_owned(), found);
        }
    }

    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| format!("can't read {}: {error}", path.display()))?;
        Ok(serde_json::from_str(&text)?)
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        fs::write(path, serde_json::to_string_pretty(self)? + "\n")?;
        println!("accepted: {}", path.display());
        Ok(())
    }

    /// What is more here than in `accepted`, or stands in one of them only.
    pub(crate) fn grown_from(&self, accepted: &Self) -> Vec<[String; 4]> {
        let mut grown = Vec::new();
        for (answering, counts) in &self.counts {
            let before = accepted.counts.get(answering);
            for (name, now) in counts {
                let before = before.and_then(|counts| counts.get(name));
                grown.extend(faults(&format!("{name} ({answering})"), before, now));
            }
        }
        let is_gone = |answering, name| {
            let counts = self.counts.get(answering);
            !counts.is_some_and(|counts: &BTreeMap<_, _>| counts.contains_key(name))
        };
        for (answering, counts) in &accepted.counts {
            for name in counts.keys().filter(|name| is_gone(answering, *name)) {
                let name = format!("{name} ({answering})");
                grown.push([name, "all".into(), "accepted".into(), "gone".into()]);
            }
        }
        grown
    }

    /// Why the two can't be compared, if they can't.
    pub(crate) fn other_compiler(&self, accepted: &Self) -> Option<String> {
        let (now, before) = (&self.compiler, &accepted.compiler);
        (now != before).then(|| {
            format!("The baseline is of another compiler, {before}, not {now}: counts may differ by that alone.")
        })
    }
}

fn faults(name: &str, before: Option<&Counts>, now: &Counts) -> Vec<[String; 4]> {
    let Some(before) = before else {
        let name = name.to_owned();
        return vec![[name, "all".into(), "none".into(), "new".into()]];
    };
    let kinds = [
        (
            "instructions",
            before.instructions,
            now.instructions,
            NOISE.instructions,
        ),
        (
            "allocations",
            before.allocations,
            now.allocations,
            NOISE.allocations,
        ),
    ];
    let grown = kinds
        .into_iter()
        .filter(|(_, before, now, noise)| *now > before * GROWTH + noise);
    grown
        .map(|(kind, before, now, _)| {
            [
                name.to_owned(),
                kind.into(),
                before.to_string(),
                now.to_string(),
            ]
        })
        .collect()
}
