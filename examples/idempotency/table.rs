//! The rows as a table.

use comfy_table::presets::UTF8_FULL;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, Table, Width};

use grpc_resilience::GiveUp;

use crate::caller::Row;

pub(crate) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL);
    table.set_header([
        "method, and how it is declared",
        "what was decided, and why",
        "attempts",
        "reached",
        "ran",
        "the caller got",
    ]);
    for row in rows {
        let figures = [row.attempts, row.count.reached, row.count.ran];
        let figures = figures.map(|figure| Cell::new(figure).set_alignment(CellAlignment::Right));
        let method = format!("{}\n{}", row.explanation.method(), row.declared);
        let words = [method, decided(row)].map(Cell::new);
        table.add_row(words.into_iter().chain(figures).chain([end(row)]));
    }
    if let Some(decided) = table.column_mut(1) {
        decided.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(55)));
    }
    table
}

/// In the words of the crate, a line each. The layer can't see what a call says of itself.
fn decided(row: &Row) -> String {
    let explanation = row.explanation.to_string();
    let words = explanation.trim_start_matches(row.explanation.method());
    let lines = words.trim_start_matches(": ").replace("; ", "\n");
    match row.option {
        None => lines,
        Some(safety) => format!("{lines}\nthis call, by its own option: {safety:?}"),
    }
}

fn end(row: &Row) -> Cell {
    let reason = row.give_up.map_or("", GiveUp::name);
    Cell::new(format!("{}\n{reason}", row.code))
}
