//! Plots as SVG, in `docs/benchmarks`.

use std::fs;
use std::path::PathBuf;

use plotters::prelude::*;

use crate::{Failure, document};

/// Colours that also differ for the colour-blind.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 86, 86),
];

/// One bar: its label, how long it is, and which colour it has.
#[derive(Clone, Debug)]
pub struct Bar {
    /// What it shows.
    pub label: String,
    /// How much of it.
    pub value: f64,
    /// Bars of one kind have one colour.
    pub kind: usize,
}

/// A line by name, through these points.
pub type Line = (String, Vec<(f64, f64)>);

const WIDTH: i32 = 760;
const BAR: i32 = 20;
const LABELS: i32 = 260;
const HEAD: i32 = 44;

/// Draws horizontal bars, the first one at the top.
///
/// # Errors
///
/// If the file can't be written.
pub fn bars(name: &str, title: &str, bars: &[Bar]) -> Result<(), Failure> {
    let path = file(name)?;
    let count = i32::try_from(bars.len())?;
    let size = (
        WIDTH.unsigned_abs(),
        (HEAD + BAR * count + 12).unsigned_abs(),
    );
    let area = SVGBackend::new(&path, size).into_drawing_area();
    area.fill(&WHITE)?;
    area.draw(&Text::new(title, (12, 14), ("sans-serif", 16)))?;
    let longest = bars.iter().map(|bar| bar.value).fold(1.0, f64::max);
    let room = f64::from(WIDTH - LABELS - 80);
    for (bar, row) in bars.iter().zip(0..) {
        let top = HEAD + BAR * row;
        #[expect(clippy::cast_possible_truncation, reason = "pixels")]
        let end = LABELS + (room * (bar.value / longest).clamp(0.0, 1.0)).round() as i32;
        let small = ("sans-serif", 12);
        area.draw(&Text::new(bar.label.clone(), (12, top + 3), small))?;
        let colour = colour(bar.kind).filled();
        area.draw(&Rectangle::new(
            [(LABELS, top + 2), (end, top + BAR - 4)],
            colour,
        ))?;
        let value = document::whole(bar.value);
        area.draw(&Text::new(value, (end + 6, top + 3), small))?;
    }
    area.present()?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Draws lines over axes that are both logarithmic.
///
/// # Errors
///
/// If the file can't be written.
pub fn lines(name: &str, title: &str, axes: (&str, &str), lines: &[Line]) -> Result<(), Failure> {
    let path = file(name)?;
    let area = SVGBackend::new(&path, (WIDTH.unsigned_abs(), 440)).into_drawing_area();
    area.fill(&WHITE)?;
    let points = || lines.iter().flat_map(|(_, points)| points.iter().copied());
    let (x, y) = (
        bounds(points().map(|(x, _)| x)),
        bounds(points().map(|(_, y)| y)),
    );
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d((x.0..x.1).log_scale(), (y.0 * 0.8..y.1 * 1.2).log_scale())?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc(axes.0)
        .y_desc(axes.1)
        .light_line_style(WHITE)
        .draw()?;
    for ((name, points), kind) in lines.iter().zip(0..) {
        let colour = colour(kind);
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    let mut legend = chart.configure_series_labels();
    legend
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(WHITE)
        .draw()?;
    area.present()?;
    println!("wrote {}", path.display());
    Ok(())
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let around = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
    values.fold((f64::MAX, f64::MIN_POSITIVE), around)
}

fn colour(kind: usize) -> RGBColor {
    COLOURS.iter().cycle().nth(kind).copied().unwrap_or(BLACK)
}

fn file(name: &str) -> Result<PathBuf, Failure> {
    let folder = document::root().join("docs/benchmarks");
    fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{name}.svg")))
}
