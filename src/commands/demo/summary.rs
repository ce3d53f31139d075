//! What is printed at the end.

use std::io::{self, Write};

use berth_solver::model::Price;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};

use super::stage::Report;
use super::text::{clock, percent};
use super::view::View;

/// Prints the summary.
///
/// # Errors
/// When nothing can be printed.
pub fn print(
    view: &View,
    report: &Report,
    untouched: bool,
    output: &mut dyn Write,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    for (name, value) in rows(view, report, untouched) {
        table.add_row([name.to_owned(), value]);
    }
    if let Some(values) = table.column_mut(1) {
        values.set_cell_alignment(CellAlignment::Left);
    }
    writeln!(output, "{table}")
}

fn rows(view: &View, report: &Report, untouched: bool) -> Vec<(&'static str, String)> {
    let Report { cloud, as_planned, elsewhere, unplanned, .. } = report;
    let placed = as_planned + elsewhere + unplanned;
    let spent = view.cost;
    let gap = if report.lower_bound > Price::ZERO {
        percent(spent.as_f64() / report.lower_bound.as_f64() - 1.0)
    } else {
        "-".to_owned()
    };
    let figures = &report.extender;
    vec![
        ("simulated time", clock(view.elapsed)),
        (
            "nodes",
            format!(
                "{} launched, {} removed, {} at most at once; {} creates failed and were repeated",
                cloud.created, cloud.removed, cloud.peak, cloud.failed_creates
            ),
        ),
        (
            "pods placed",
            format!(
                "{placed}: {as_planned} where planned, {elsewhere} elsewhere, {unplanned} unplanned"
            ),
        ),
        ("evictions", report.evictions.to_string()),
        ("spent", format!("{:.5} EUR", spent.as_f64())),
        (
            "lower bound",
            format!(
                "{:.5} EUR, for the same pods on machines that come and go at once",
                report.lower_bound.as_f64()
            ),
        ),
        ("gap", format!("{gap}, machines that boot, idle and stop included")),
        (
            "extender",
            format!(
                "{} calls, p50 {:.2} ms, p99 {:.2} ms",
                figures.calls, figures.p50, figures.p99
            ),
        ),
        (
            "left over",
            format!(
                "{} nodes; infrastructure node {}",
                view.own_nodes(),
                if untouched { "untouched" } else { "TOUCHED" }
            ),
        ),
        ("seed", view.seed.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_nodes_pods_and_cost() {
        let report = Report {
            as_planned: 40,
            unplanned: 2,
            lower_bound: Price::from_nanos(100_000_000),
            ..Report::default()
        };
        let view = View { cost: Price::from_nanos(125_000_000), seed: 7, ..View::default() };
        let mut page = Vec::new();
        print(&view, &report, true, &mut page).unwrap();
        let text = String::from_utf8(page).unwrap();
        for wanted in [
            "42: 40 where planned, 0 elsewhere, 2 unplanned",
            "0.12500 EUR",
            "25%, machines that boot",
            "0 nodes; infrastructure node untouched",
        ] {
            assert!(text.contains(wanted), "{wanted:?} is missing:\n{text}");
        }
    }
}
