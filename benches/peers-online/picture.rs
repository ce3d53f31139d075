//! What a cluster cost over time, as a picture.

use std::collections::BTreeMap;

use plotters::prelude::*;
use serde_json::Value;

const SIZE: (u32, u32) = (960, 320);
/// Of Berth and of Karpenter: colours that most tell apart who see few (Okabe and Ito).
const COLOURS: [RGBColor; 2] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0)];
/// Lines behind what is drawn.
const FAINT: RGBColor = RGBColor(228, 228, 228);

/// A line: minutes since the suite began, and the price of an hour then.
type Line = Vec<(f64, f64)>;

/// Price over time, a line a controller, of the first run of a suite; a dot where a phase has
/// settled. A suite's phases follow one another. `rows` are the suite's, in their order.
pub fn price(suite: &str, rows: &[&Value]) -> Result<String, Box<dyn std::error::Error>> {
    let mut lines: BTreeMap<&str, (Line, Line)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["run"].as_u64().unwrap_or(1) == 1) {
        let controller = row["controller"].as_str().unwrap_or_default();
        let (line, settled) = lines.entry(controller).or_default();
        let from = line.last().map_or(0.0, |(minute, _)| *minute);
        let looks = row["looks"].as_array().into_iter().flatten();
        line.extend(
            looks.filter_map(|look| Some((from + look[0].as_f64()? / 60.0, look[1].as_f64()?))),
        );
        if let (Some(seconds), Some(price)) =
            (row["settledSeconds"].as_f64(), row["pricePerHour"].as_f64())
        {
            settled.push((from + seconds / 60.0, price));
        }
    }
    let points = || lines.values().flat_map(|(line, _)| line);
    let last = points().map(|point| point.0).fold(0.0, f64::max);
    let most = points().map(|point| point.1).fold(0.0, f64::max);
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(8)
            .caption(format!("{suite}: price an hour"), ("sans-serif", 16))
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..last.max(0.1), 0.0..(most * 1.05).max(1e-3))?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT)
            .x_desc("minutes; a dot: nothing changed for 90 seconds after it")
            .draw()?;
        for ((controller, (line, settled)), colour) in lines.iter().zip(COLOURS) {
            let series = LineSeries::new(line.iter().copied(), colour.stroke_width(2));
            chart.draw_series(series)?.label(*controller).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(3))
            });
            chart.draw_series(settled.iter().map(|at| Circle::new(*at, 5, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .border_style(TRANSPARENT)
            .draw()?;
        area.present()?;
    }
    Ok(text)
}
