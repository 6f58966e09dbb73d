use benches::Answering;
use comfy_table::{CellAlignment, Table, presets};

use crate::measured::Measured;

pub(crate) fn title(answering: Answering) -> &'static str {
    match answering {
        Answering::AtOnce => "The service answers at once: no timer is registered.",
        Answering::Later => "The service answers on the second poll: timers are registered.",
    }
}

pub(crate) fn of(measured: &[Measured]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "on top of bare",
        "instructions",
        "allocations",
        "bytes",
        "ns",
        "future",
    ]);
    for one in measured {
        table.add_row([
            one.name.to_owned(),
            whole(one.instructions),
            format!("{:.2}", one.allocations)
                .trim_end_matches('0')
                .trim_end_matches('.')
                .to_owned(),
            whole(one.bytes),
            one.nanoseconds.map(whole).unwrap_or_default(),
            whole(one.future),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Without a minus before a 0.
pub(crate) fn whole(number: f64) -> String {
    format!("{:.0}", number.round() + 0.0)
}
