//! How the measured is shown.

use benches::document::{short, table, whole};
use benches::plot::{self, Bar};
use benches::subjects::Group;
use benches::{Answering, Failure};

use crate::measured::Measured;

pub(crate) fn title(answering: Answering) -> &'static str {
    match answering {
        Answering::AtOnce => {
            "The service answers on the first poll; a timer that is polled only by who must wait is not registered:"
        }
        Answering::Later => "The service answers on the second poll, so timers are registered:",
    }
}

pub(crate) fn of(measured: &[Measured]) -> String {
    let header = [
        "on top of bare",
        "instructions",
        "allocations",
        "bytes",
        "ns",
        "bytes of future",
    ];
    let rows = measured.iter().map(|one| {
        [
            one.name.to_owned(),
            whole(one.instructions),
            short(one.allocations),
            whole(one.bytes),
            one.nanoseconds.map(whole).unwrap_or_default(),
            whole(one.future),
        ]
    });
    table(header, rows)
}

/// Of stacks and peers, and of each layer.
pub(crate) fn plots(measured: &[Measured]) -> Result<(), Failure> {
    let is_stack = |group| matches!(group, Group::Stack | Group::Peer);
    let is_layer = |group| matches!(group, Group::Idle | Group::Active);
    let instructions = |one: &Measured| one.instructions;
    let allocations = |one: &Measured| one.allocations;
    let stacks = "Instructions of a call on top of a bare one: stacks and peers";
    plot::bars(
        "instructions",
        stacks,
        &bars(measured, is_stack, instructions),
    )?;
    let stacks = "Allocations of a call on top of a bare one: stacks and peers";
    plot::bars(
        "allocations",
        stacks,
        &bars(measured, is_stack, allocations),
    )?;
    let layers = "Instructions of a call on top of a bare one: each layer, idle and active";
    plot::bars("layers", layers, &bars(measured, is_layer, instructions))
}

fn bars(
    measured: &[Measured],
    is_shown: impl Fn(Group) -> bool,
    value: impl Fn(&Measured) -> f64,
) -> Vec<Bar> {
    let shown = measured.iter().filter(|one| is_shown(one.group));
    let bar = |one: &Measured| Bar {
        label: one.name.to_owned(),
        value: value(one),
        kind: usize::from(matches!(one.group, Group::Peer | Group::Idle)),
    };
    shown.map(bar).collect()
}
