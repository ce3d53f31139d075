//! The answer as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::check::{Checked, Removed, Report};
use crate::claims::money::Monthly;
use crate::commands::{Failure, output};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    claims: Vec<Claim<'a>>,
    removed: Vec<Gone<'a>>,
    price_per_month: Monthly,
    problems: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claim<'a> {
    file: &'a str,
    line: u64,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    size: Option<&'a str>,
    provider: Option<&'a str>,
    plan: Option<&'a str>,
    price_per_month: Option<Monthly>,
    other_providers: BTreeMap<&'a str, String>,
    /// Absent if it is new, or if there is nothing to compare with.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [String]>,
    problems: Vec<Problem<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    file: &'a str,
    line: Option<u64>,
    problem: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Gone<'a> {
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    deletion_policy: &'static str,
}

/// All of it, with a line end.
pub(super) fn json(report: &Report) -> Result<String, Failure> {
    output::json(&Document {
        claims: report.claims.iter().map(claim).collect(),
        removed: report.removed.iter().map(gone).collect(),
        price_per_month: report.price(),
        problems: report.claims.iter().map(|one| one.problems.len()).sum(),
    })
}

fn claim(checked: &Checked) -> Claim<'_> {
    let choice = checked.choice.as_ref();
    let others = choice.into_iter().flat_map(|choice| &choice.others);
    Claim {
        file: &checked.file,
        line: checked.line,
        kind: &checked.kind,
        namespace: &checked.namespace,
        name: &checked.name,
        size: checked.size.as_deref(),
        provider: choice.map(|choice| choice.provider.as_str()),
        plan: choice.and_then(|choice| choice.size.plan.as_deref()),
        price_per_month: choice.map(|choice| choice.price),
        other_providers: others.map(|(name, why)| (name.as_str(), why.to_string())).collect(),
        changes: checked.update.as_deref(),
        problems: checked
            .problems
            .iter()
            .map(|one| Problem { file: &one.file, line: one.line, problem: &one.problem })
            .collect(),
    }
}

fn gone(removed: &Removed) -> Gone<'_> {
    Gone {
        kind: &removed.kind,
        namespace: &removed.namespace,
        name: &removed.name,
        deletion_policy: if removed.retain { "Retain" } else { "Delete" },
    }
}
