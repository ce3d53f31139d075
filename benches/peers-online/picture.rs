//! What a cluster cost over time, as a picture.

use std::collections::BTreeMap;

use berth_simulations::report::{Line, ReportError, chart};
use serde_json::Value;

/// Minutes since the suite began, and the price of an hour then.
type Points = Vec<(f64, f64)>;

/// Price over time, a line a controller, of the first run of a suite; a dot where a phase has
/// settled. A suite's phases follow one another. `rows` are the suite's, in their order.
pub fn price(suite: &str, rows: &[&Value]) -> Result<String, ReportError> {
    let mut seen: BTreeMap<&str, (Points, Points)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["run"] == 1) {
        let controller = row["controller"].as_str().unwrap_or_default();
        let (points, settled) = seen.entry(controller).or_default();
        let from = points.last().map_or(0.0, |(minute, _)| *minute);
        let at = |seconds: &Value, price: &Value| {
            Some((from + seconds.as_f64()? / 60.0, price.as_f64()?))
        };
        let looks = row["looks"].as_array().into_iter().flatten();
        points.extend(looks.filter_map(|look| at(&look[0], &look[1])));
        settled.extend(at(&row["settledSeconds"], &row["pricePerHour"]));
    }
    let lines: Vec<Line> = seen
        .into_iter()
        .enumerate()
        .map(|(number, (name, (points, settled)))| Line::new(name, number, points).marked(settled))
        .collect();
    let across = "minutes; a dot: nothing changed for 90 seconds after it";
    chart(across, &format!("{suite}: price an hour"), &lines)
}
