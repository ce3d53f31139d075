//! The pictures, as SVG.

use std::collections::BTreeMap;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{ReportError, Told};
use crate::replay::Moment;
use crate::trace::Description;

const SIZE: (u32, u32) = (960, 300);
/// So many instance types have a colour of their own.
const MOST_TYPES: usize = 9;
/// Lines behind what is drawn.
const FAINT: RGBColor = RGBColor(228, 228, 228);
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

/// A line: its name, its colour, its points (hours and value).
struct Line {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

fn hours(moment: &Moment) -> f64 {
    moment.at_seconds / 3_600.0
}

fn line(name: &str, index: usize, moments: &[Moment], of: impl Fn(&Moment) -> f64) -> Line {
    let points = moments.iter().map(|one| (hours(one), of(one))).collect();
    Line { name: name.to_owned(), colour: colour(index), points }
}

/// What nodes cost in an hour, policy by policy, and what they cost at least.
pub(super) fn cost(policies: &[Told]) -> Result<String, ReportError> {
    let mut lines: Vec<Line> = policies
        .iter()
        .enumerate()
        .map(|(index, told)| {
            line(&told.summary.policy, index, &told.moments, |one| one.cost_per_hour)
        })
        .collect();
    if let Some(first) = policies.first() {
        let name = format!("lower bound ({})", first.summary.policy);
        lines.push(Line {
            colour: BLACK,
            ..line(&name, 0, &first.moments, |one| one.bound_per_hour)
        });
    }
    draw("cost per hour", &lines)
}

/// The shares of CPU and memory that are used.
pub(super) fn utilization(moments: &[Moment]) -> Result<String, ReportError> {
    let share = |used: f64, of: f64| if of > 0.0 { used / of * 100.0 } else { 0.0 };
    let lines = [
        line("CPU", 0, moments, |one| share(one.cpu_used, one.cpu)),
        line("memory", 1, moments, |one| share(one.memory_used, one.memory)),
    ];
    draw("% of what is paid for", &lines)
}

/// Pods that wait.
pub(super) fn pending(moments: &[Moment]) -> Result<String, ReportError> {
    draw("pods that wait", &[line("pending", 3, moments, |one| one.pending)])
}

/// The longest that anybody waited.
pub(super) fn waiting(moments: &[Moment]) -> Result<String, ReportError> {
    draw("longest wait, seconds", &[line("longest wait", 4, moments, |one| one.longest_wait)])
}

/// Nodes asked for and told to go, pods evicted.
pub(super) fn changes(moments: &[Moment]) -> Result<String, ReportError> {
    #[expect(clippy::cast_precision_loss, reason = "points of a picture")]
    let lines = [
        line("launches", 0, moments, |one| one.launches as f64),
        line("removals", 1, moments, |one| one.removals as f64),
        line("evictions", 3, moments, |one| one.evictions as f64),
    ];
    draw("in an interval", &lines)
}

fn broken(error: impl std::fmt::Display) -> ReportError {
    ReportError::Plot(error.to_string())
}

fn picture(text: &mut String) -> Result<DrawingArea<SVGBackend<'_>, Shift>, ReportError> {
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(broken)?;
    Ok(area)
}

fn span(points: impl Iterator<Item = (f64, f64)> + Clone) -> ((f64, f64), f64) {
    let first = points.clone().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let last = points.clone().map(|point| point.0).fold(0.0, f64::max);
    let most = points.map(|point| point.1).fold(0.0, f64::max);
    let first = if first.is_finite() { first } else { 0.0 };
    ((first, last.max(first + 1e-3)), if most > 0.0 { most * 1.05 } else { 1.0 })
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// An empty chart over hours, from 0 up.
fn axes<'a, 'b>(
    area: &'a Area<'b>,
    hours: Range<f64>,
    most: f64,
    what: &str,
) -> Result<Chart<'a, 'b>, ReportError> {
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(hours, 0.0..most)
        .map_err(broken)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .x_desc("hours of the trace")
        .y_desc(what)
        .draw()
        .map_err(broken)?;
    Ok(chart)
}

/// Says which colour is what.
fn legend<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>) -> Result<(), ReportError> {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(TRANSPARENT)
        .draw()
        .map_err(broken)
}

fn draw(what: &str, lines: &[Line]) -> Result<String, ReportError> {
    let mut text = String::new();
    {
        let area = picture(&mut text)?;
        let ((from, to), most) = span(lines.iter().flat_map(|line| line.points.iter().copied()));
        let mut chart = axes(&area, from..to, most, what)?;
        for line in lines {
            let colour = line.colour;
            let series = LineSeries::new(line.points.iter().copied(), colour.stroke_width(2));
            chart.draw_series(series).map_err(broken)?.label(line.name.as_str()).legend(
                move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(3)),
            );
        }
        if lines.len() > 1 {
            legend(&mut chart)?;
        }
        area.present().map_err(broken)?;
    }
    Ok(scaled(text))
}

/// Nodes by instance type, the most used ones by name, on top of each other.
pub(super) fn nodes_by_type(moments: &[Moment]) -> Result<String, ReportError> {
    let mut totals: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, nodes) in moments.iter().flat_map(|one| &one.types) {
        *totals.entry(name.as_str()).or_default() += nodes;
    }
    let mut names: Vec<(&str, f64)> = totals.into_iter().collect();
    names.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(other.0)));
    let named: Vec<&str> = names.iter().take(MOST_TYPES).map(|(name, _)| *name).collect();
    // From the top down: what lies below covers what lies above.
    let mut layers: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    let all = moments.iter().map(|one| (hours(one), one.types.values().sum::<f64>()));
    let others = names.len() > named.len();
    if others {
        layers.push(("other types".to_owned(), all.clone().collect()));
    }
    for count in (1..=named.len()).rev() {
        let below = &named[..count];
        let sum =
            |one: &Moment| -> f64 { below.iter().filter_map(|name| one.types.get(*name)).sum() };
        let points = moments.iter().map(|one| (hours(one), sum(one))).collect();
        layers.push((named[count - 1].to_owned(), points));
    }
    let mut text = String::new();
    {
        let area = picture(&mut text)?;
        let ((from, to), most) = span(all);
        let mut chart = axes(&area, from..to, most, "nodes")?;
        for (index, (name, points)) in layers.into_iter().enumerate() {
            let colour = colour(index);
            chart
                .draw_series(AreaSeries::new(points, 0.0, colour))
                .map_err(broken)?
                .label(name)
                .legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.filled())
                });
        }
        legend(&mut chart)?;
        area.present().map_err(broken)?;
    }
    Ok(scaled(text))
}

/// A trace as a picture: what its pods asked for over time, and the largest sizes' shares.
///
/// # Errors
/// [`ReportError::Plot`].
pub fn trace_picture(told: &Description) -> Result<String, ReportError> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (SIZE.0, SIZE.1 * 2)).into_drawing_area();
        area.fill(&WHITE).map_err(broken)?;
        let (upper, lower) = area.split_vertically(SIZE.1);
        over_time(told, &upper)?;
        sizes(told, &lower)?;
        area.present().map_err(broken)?;
    }
    Ok(text)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn over_time(told: &Description, area: &Area<'_>) -> Result<(), ReportError> {
    let points = told.over_time.iter().map(|one| (one.at_seconds / 3_600.0, one.cpu));
    let ((from, to), most) = span(points.clone());
    let mut chart = axes(area, from..to, most, "CPUs asked for")?;
    chart.draw_series(AreaSeries::new(points, 0.0, colour(0).mix(0.6))).map_err(broken)?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "points of a picture")]
fn sizes(told: &Description, area: &Area<'_>) -> Result<(), ReportError> {
    // By CPU alone: each power of two a column.
    let mut by_cpu: BTreeMap<i64, u64> = BTreeMap::new();
    for size in &told.sizes {
        *by_cpu.entry(size.cpu_milli).or_default() += size.pods;
    }
    let columns: Vec<(i64, f64)> = by_cpu.iter().map(|(cpu, pods)| (*cpu, *pods as f64)).collect();
    let most = columns.iter().map(|(_, pods)| *pods).fold(1.0, f64::max) * 1.05;
    let label = |index: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let column = columns.get(index.max(0.0) as usize);
        column.map_or_else(String::new, |(cpu, _)| format!("{:.2}", *cpu as f64 / 1e3))
    };
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..columns.len().max(1) as f64, 0.0..most)
        .map_err(broken)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .x_labels(columns.len().max(1))
        .x_label_formatter(&|index| label(*index))
        .x_desc("CPUs of a pod, up to")
        .y_desc("pods")
        .draw()
        .map_err(broken)?;
    let bars = columns.iter().enumerate().map(|(index, (_, pods))| {
        let left = index as f64;
        Rectangle::new([(left + 0.05, 0.0), (left + 0.95, *pods)], colour(0).filled())
    });
    chart.draw_series(bars).map_err(broken)?;
    Ok(())
}

/// Lets the page say how large a picture is.
fn scaled(text: String) -> String {
    let (width, height) = SIZE;
    text.replacen(&format!("<svg width=\"{width}\" height=\"{height}\" "), "<svg role=\"img\" ", 1)
}
