//! A table of figures, one column a client or setting.

use std::collections::BTreeMap;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};

/// What a row is called, and what stands in it.
pub type Row<F> = (&'static str, fn(&F) -> String);

/// Each column has a name and its figures.
#[must_use]
pub fn compare<F>(title: &str, columns: &[(&str, F)], rows: &[Row<F>]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    let names = columns.iter().map(|(name, _)| *name);
    table.set_header(std::iter::once(title).chain(names));
    for (name, show) in rows {
        let cells = columns
            .iter()
            .map(|(_, figures)| Cell::new(show(figures)).set_alignment(CellAlignment::Right));
        table.add_row(std::iter::once(Cell::new(name)).chain(cells));
    }
    table
}

/// Counts by number, as `0: 24000, 1: 149`.
#[must_use]
pub fn counts(of: &BTreeMap<u32, u32>) -> String {
    let counts = of
        .iter()
        .map(|(number, count)| format!("{number}: {count}"));
    counts.collect::<Vec<_>>().join("\n")
}
