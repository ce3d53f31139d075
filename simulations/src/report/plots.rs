//! The pictures, as SVG.

use std::collections::BTreeMap;

use plotters::prelude::*;

use super::chart::{Area, FAINT, Line, SIZE, axes, broken, chart, colour, legend, picture, span};
use super::{ReportError, Told};
use crate::replay::Moment;
use crate::trace::Description;

/// What is across.
const HOURS: &str = "hours of the trace";
/// So many instance types have a colour of their own.
const MOST_TYPES: usize = 9;
fn hours(moment: &Moment) -> f64 {
    moment.at_seconds / 3_600.0
}

fn line(name: &str, index: usize, moments: &[Moment], of: impl Fn(&Moment) -> f64) -> Line {
    let points = moments.iter().map(|one| (hours(one), of(one))).collect();
    Line::new(name, index, points)
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
        lines.push(line(&name, 0, &first.moments, |one| one.bound_per_hour).black());
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

/// Lines over hours.
fn draw(what: &str, lines: &[Line]) -> Result<String, ReportError> {
    chart(HOURS, what, lines).map(scaled)
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
        let mut chart = axes(&area, from..to, most, (HOURS, "nodes"))?;
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
        legend(&mut chart, SeriesLabelPosition::UpperLeft)?;
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

fn over_time(told: &Description, area: &Area<'_>) -> Result<(), ReportError> {
    let points = told.over_time.iter().map(|one| (one.at_seconds / 3_600.0, one.cpu));
    let ((from, to), most) = span(points.clone());
    let mut chart = axes(area, from..to, most, (HOURS, "CPUs asked for"))?;
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
