//! Where two answers differ first.

use anyhow::Context;
use berth_solver::decisions::Answer;
use serde_json::Value;

use crate::commands::Failure;

/// Values that are longer are shortened.
const LONGEST_VALUE: usize = 80;

/// The first place where the answers differ, byte for byte, and both values there.
pub(super) fn first_difference(then: &Answer, now: &Answer) -> Result<Option<String>, Failure> {
    let [one, other] = [then, now].map(|answer| {
        serde_json::to_string(answer).context("a decision cannot be written down again")
    });
    let (one, other) = (one?, other?);
    if one == other {
        return Ok(None);
    }
    let [then, now] = [one, other].map(|text| serde_json::from_str::<Value>(&text));
    let (then, now) = (then.context("not JSON")?, now.context("not JSON")?);
    let mut path = Vec::new();
    let (then, now) = descend(&then, &now, &mut path);
    let place = if path.is_empty() { "the answer".to_owned() } else { path.join(".") };
    Ok(Some(format!("{place}: {} then, {} now", short(then), short(now))))
}

fn descend<'v>(
    then: &'v Value,
    now: &'v Value,
    path: &mut Vec<String>,
) -> (Option<&'v Value>, Option<&'v Value>) {
    match (then, now) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys());
            for name in names {
                let (then, now) = (one.get(name), other.get(name));
                if then != now {
                    return step(then, now, name.clone(), path);
                }
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            for index in 0..one.len().max(other.len()) {
                let (then, now) = (one.get(index), other.get(index));
                if then != now {
                    return step(then, now, index.to_string(), path);
                }
            }
        }
        _ => {}
    }
    (Some(then), Some(now))
}

fn step<'v>(
    then: Option<&'v Value>,
    now: Option<&'v Value>,
    name: String,
    path: &mut Vec<String>,
) -> (Option<&'v Value>, Option<&'v Value>) {
    path.push(name);
    match (then, now) {
        (Some(then), Some(now)) => descend(then, now, path),
        _ => (then, now),
    }
}

fn short(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
