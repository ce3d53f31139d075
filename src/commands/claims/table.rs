//! The answer as a table for people.

use std::fmt::Write as _;

use super::check::Report;
use crate::commands::output::table;

/// All of it, with a line end.
pub(super) fn text(report: &Report) -> String {
    let mut text = claims(report);
    for one in &report.claims {
        let name = format!("{} {}/{}", one.kind, one.namespace, one.name);
        // Writing to a String never fails.
        if let Some(choice) = &one.choice {
            for (provider, why) in &choice.others {
                let _ = writeln!(text, "{name}: not {provider}: {why}");
            }
        }
        for change in one.update.iter().flatten() {
            let _ = writeln!(text, "{name}: {change}");
        }
    }
    for one in &report.removed {
        let what = if one.retain {
            "removed; what it stood for is retained, and goes on costing"
        } else {
            "removed; what it stood for is deleted with its data"
        };
        let _ = writeln!(text, "{} {}/{}: {what}", one.kind, one.namespace, one.name);
    }
    for problem in report.claims.iter().flat_map(|one| &one.problems) {
        let _ = writeln!(text, "{problem}");
    }
    text
}

fn claims(report: &Report) -> String {
    if report.claims.is_empty() {
        return "no claims\n".to_owned();
    }
    let header = ["claim", "kind", "size", "provider", "plan", "verdict", "per month"];
    let mut table = table(header, 6);
    for one in &report.claims {
        let choice = one.choice.as_ref();
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let verdict = match (one.problems.is_empty(), &one.update) {
            (false, _) => "refused",
            (true, Some(changes)) if changes.is_empty() => "as before",
            (true, Some(_)) => "updated",
            (true, None) => "good",
        };
        table.add_row([
            format!("{}/{}", one.namespace, one.name),
            one.kind.clone(),
            or_dash(one.size.as_deref()),
            or_dash(choice.map(|choice| choice.provider.as_str())),
            or_dash(choice.and_then(|choice| choice.size.plan.as_deref())),
            verdict.to_owned(),
            choice.map_or_else(|| "-".to_owned(), |choice| choice.price.to_string()),
        ]);
    }
    let mut all = [const { String::new() }; 7];
    all[0] = "in all".to_owned();
    all[6] = report.price().to_string();
    table.add_row(all);
    format!("{table}\n")
}
