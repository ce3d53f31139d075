//! Charts of lines, as SVG.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::ReportError;

/// Width and height of a chart, in pixels.
pub(super) const SIZE: (u32, u32) = (960, 300);
/// Lines behind what is drawn.
pub(super) const FAINT: RGBColor = RGBColor(228, 228, 228);
/// Tells colours apart for most who see few of them (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(120, 120, 60),
    RGBColor(90, 90, 90),
];

/// A line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
    marks: Vec<(f64, f64)>,
}

impl Line {
    /// A line through points in the colour of that number; lines of a chart have one each.
    pub fn new(name: &str, number: usize, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), colour: colour(number), points, marks: Vec::new() }
    }

    /// In black.
    pub(super) fn black(self) -> Self {
        Self { colour: BLACK, ..self }
    }

    /// With dots there, in its colour.
    pub fn marked(self, marks: Vec<(f64, f64)>) -> Self {
        Self { marks, ..self }
    }
}

pub(super) fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// A chart of lines as an SVG of its own; what is across begins where the first line does, what is up
/// at 0.
///
/// # Errors
/// [`ReportError::Plot`].
pub fn chart(across: &str, up: &str, lines: &[Line]) -> Result<String, ReportError> {
    let mut text = String::new();
    {
        let area = picture(&mut text)?;
        let ((from, to), most) = span(lines.iter().flat_map(|line| line.points.iter().copied()));
        let mut chart = axes(&area, from..to, most, (across, up))?;
        for line in lines {
            let colour = line.colour;
            let series = LineSeries::new(line.points.iter().copied(), colour.stroke_width(2));
            chart.draw_series(series).map_err(broken)?.label(line.name.as_str()).legend(
                move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(3)),
            );
            let dots = line.marks.iter().map(|at| Circle::new(*at, 5, colour.filled()));
            chart.draw_series(dots).map_err(broken)?;
        }
        if lines.len() > 1 {
            let points = lines.iter().flat_map(|line| line.points.iter().copied());
            legend(&mut chart, emptiest_corner((from, to), most, points))?;
        }
        area.present().map_err(broken)?;
    }
    Ok(text)
}

pub(super) fn broken(error: impl std::fmt::Display) -> ReportError {
    ReportError::Plot(error.to_string())
}

pub(super) fn picture(text: &mut String) -> Result<Area<'_>, ReportError> {
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(broken)?;
    Ok(area)
}

pub(super) fn span(points: impl Iterator<Item = (f64, f64)> + Clone) -> ((f64, f64), f64) {
    let first = points.clone().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let last = points.clone().map(|point| point.0).fold(0.0, f64::max);
    let most = points.map(|point| point.1).fold(0.0, f64::max);
    let first = if first.is_finite() { first } else { 0.0 };
    ((first, last.max(first + 1e-3)), if most > 0.0 { most * 1.05 } else { 1.0 })
}

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(super) type Chart<'a, 'b> =
    ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// An empty chart, from 0 up, with what is across and what is up.
pub(super) fn axes<'a, 'b>(
    area: &'a Area<'b>,
    over: Range<f64>,
    most: f64,
    (across, up): (&str, &str),
) -> Result<Chart<'a, 'b>, ReportError> {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(over, 0.0..most)
        .map_err(broken)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .x_desc(across)
        .y_desc(up)
        .draw()
        .map_err(broken)?;
    Ok(chart)
}

/// The corner in which the fewest points are hidden: a quarter of the width, a third of the height.
fn emptiest_corner(
    (from, to): (f64, f64),
    most: f64,
    points: impl Iterator<Item = (f64, f64)> + Clone,
) -> SeriesLabelPosition {
    let hidden = |left: bool, upper: bool| {
        let is_across = |x: f64| if left { x < 0.25 } else { x > 0.75 };
        let is_up = |y: f64| if upper { y > 2.0 / 3.0 } else { y < 1.0 / 3.0 };
        let is_there = |(x, y): &(f64, f64)| is_across((x - from) / (to - from)) && is_up(y / most);
        points.clone().filter(is_there).count()
    };
    let corners = [
        (hidden(true, true), SeriesLabelPosition::UpperLeft),
        (hidden(false, true), SeriesLabelPosition::UpperRight),
        (hidden(false, false), SeriesLabelPosition::LowerRight),
        (hidden(true, false), SeriesLabelPosition::LowerLeft),
    ];
    let best = corners.into_iter().min_by_key(|(hidden, _)| *hidden);
    best.map_or(SeriesLabelPosition::UpperLeft, |(_, corner)| corner)
}

/// Says in that corner which colour is what.
pub(super) fn legend<'a, 'b: 'a>(
    chart: &mut Chart<'a, 'b>,
    corner: SeriesLabelPosition,
) -> Result<(), ReportError> {
    chart
        .configure_series_labels()
        .position(corner)
        .background_style(WHITE.mix(0.8))
        .border_style(TRANSPARENT)
        .draw()
        .map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legend_stands_where_it_hides_least() {
        let corner = |points: &[(f64, f64)]| {
            let corner = emptiest_corner((0.0, 10.0), 10.0, points.iter().copied());
            format!("{corner:?}")
        };
        assert_eq!(corner(&[]), "UpperLeft");
        assert_eq!(corner(&[(1.0, 9.0)]), "UpperRight");
        assert_eq!(corner(&[(1.0, 9.0), (9.0, 9.0)]), "LowerRight");
        assert_eq!(corner(&[(1.0, 9.0), (9.0, 9.0), (9.0, 1.0)]), "LowerLeft");
    }

    #[test]
    fn a_chart_has_its_lines_names_and_marks() {
        let line = |name, number| Line::new(name, number, vec![(0.0, 1.0), (2.0, 3.0)]);
        let marked = line("ours", 0).marked(vec![(1.0, 2.0), (2.0, 3.0)]);
        let text = chart("minutes", "price", &[marked, line("theirs", 1)]).unwrap();
        assert_eq!(text.matches("<circle").count(), 2);
        for word in ["ours", "theirs", "minutes", "price"] {
            assert!(text.contains(&format!("\n{word}\n")), "{word}: {text}");
        }
    }
}
