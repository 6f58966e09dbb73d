//! Lines over time, as an SVG.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::series::{BUCKET, Series};
use crate::Failure;

const SIZE: (u32, u32) = (1_000, 520);
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(232, 232, 232);
const SHADE: RGBColor = RGBColor(250, 236, 214);
/// Ours; then the others in their order.
const OURS: RGBColor = RGBColor(0, 114, 178);
const OTHERS: [RGBColor; 3] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(150, 150, 150),
];

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A line of points.
pub struct Line {
    /// In the legend.
    pub name: &'static str,
    /// Whether it is drawn on top, in the first colour.
    pub is_ours: bool,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// The events of each 100 ms up to an end, at the middle of them.
#[must_use]
pub fn points(series: &Series, end: Duration) -> Vec<(f64, f64)> {
    series
        .each(Duration::ZERO..end)
        .map(|(at, events)| ((at + BUCKET / 2).as_secs_f64(), f64::from(events)))
        .collect()
}

/// Lines over the same axes; both begin at 0.
pub struct Plot {
    /// Above the plot.
    pub title: String,
    /// What the x axis counts.
    pub x: &'static str,
    /// What the y axis counts.
    pub y: &'static str,
    /// From where to where, and what it is.
    pub shaded: Option<(Range<f64>, &'static str)>,
    /// In the order of the legend.
    pub lines: Vec<Line>,
}

impl Plot {
    /// Makes the folder if there is none; where the file is.
    ///
    /// # Errors
    ///
    /// The plot could not be drawn, or the file not be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<PathBuf, Failure> {
        fs::create_dir_all(folder)?;
        let path = folder.join(name);
        let mut svg = String::new();
        // The area borrows the text until it is dropped.
        self.draw(&SVGBackend::with_string(&mut svg, SIZE).into_drawing_area())?;
        fs::write(&path, svg)?;
        Ok(path)
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Failure> {
        area.fill(&WHITE)?;
        let (right, top) = self.ends();
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 23).into_font().color(&INK))
            .margin(16)
            .margin_right(28)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..right, 0.0..top)?;
        self.shade(&mut chart, top)?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style((FONT, 17).into_font().color(&INK))
            .axis_desc_style((FONT, 18).into_font().color(&INK))
            .x_desc(self.x)
            .y_desc(self.y)
            .x_labels(13)
            .x_label_formatter(&|x| format!("{}", (x * 10.0).round() / 10.0))
            .y_label_formatter(&|y| format!("{y:.0}"))
            .draw()?;
        self.draw_lines(&mut chart)?;
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .margin(12)
            .legend_area_size(30)
            .background_style(WHITE.mix(0.9))
            .border_style(GRID)
            .label_font((FONT, 17).into_font().color(&INK))
            .draw()?;
        area.present()?;
        Ok(())
    }

    fn shade(&self, chart: &mut Chart<'_, '_>, top: f64) -> Result<(), Failure> {
        let Some((shaded, what)) = &self.shaded else {
            return Ok(());
        };
        let corners = [(shaded.start, 0.0), (shaded.end, top)];
        chart.draw_series([Rectangle::new(corners, SHADE.filled())])?;
        let style = (FONT, 17)
            .into_font()
            .color(&INK)
            .pos(Pos::new(HPos::Center, VPos::Top));
        let middle = f64::midpoint(shaded.start, shaded.end);
        chart.draw_series([Text::new(*what, (middle, top * 0.985), style)])?;
        Ok(())
    }

    /// In their order, for the legend; then ours again, so that it lies on top.
    fn draw_lines(&self, chart: &mut Chart<'_, '_>) -> Result<(), Failure> {
        let mut others = OTHERS.into_iter().cycle();
        for line in &self.lines {
            let style = if line.is_ours {
                OURS.stroke_width(3)
            } else {
                others.next().unwrap_or(INK).stroke_width(2)
            };
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                .label(line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
        }
        for line in self.lines.iter().filter(|line| line.is_ours) {
            let points = line.points.iter().copied();
            chart.draw_series(LineSeries::new(points, OURS.stroke_width(3)))?;
        }
        Ok(())
    }

    /// The last point of the x axis, and of the y axis with some room above.
    fn ends(&self) -> (f64, f64) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let right = points().map(|(x, _)| *x).fold(0.0, f64::max);
        let top = points().map(|(_, y)| *y).fold(0.0, f64::max);
        (right.ceil(), (top * 1.1).max(1.0))
    }
}
