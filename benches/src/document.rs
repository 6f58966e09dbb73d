//! Tables, and the document that holds them.

use std::fs;
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};

use crate::Failure;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A table in Markdown: text in the first column, numbers in the others.
#[must_use]
pub fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// A number without decimals, and without a minus before a 0.
#[must_use]
pub fn whole(number: f64) -> String {
    format!("{:.0}", number.round() + 0.0)
}

/// A number with at most two decimals.
#[must_use]
pub fn short(number: f64) -> String {
    let text = format!("{:.2}", (number * 100.0).round() / 100.0 + 0.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Puts `text` into `BENCHMARKS.md`, between the comments that begin and end this section.
///
/// # Errors
///
/// If there is no such section, or if the file can't be read or written.
pub fn write_section(name: &str, text: &str) -> Result<(), Failure> {
    let path = root().join("BENCHMARKS.md");
    let document = fs::read_to_string(&path)?;
    let (begin, end) = (
        format!("<!-- begin {name} -->\n"),
        format!("<!-- end {name} -->"),
    );
    let missing = || format!("BENCHMARKS.md has no section {name:?}");
    let (before, rest) = document.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    let text = text.trim();
    fs::write(&path, format!("{before}{begin}\n{text}\n\n{end}{after}"))?;
    println!("wrote the section {name:?} of BENCHMARKS.md");
    Ok(())
}
