//! What an object's status says of it.

use berth_solver::model::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff;

use super::Condition;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saying<'a> {
    /// Of what (`Synced`, `Ready`, ...).
    pub kind: &'a str,
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: &'a str,
    /// Why, in a sentence.
    pub message: &'a str,
}

/// Sets a condition. Its time moves only when it turns, and its place stays.
pub fn set(
    conditions: &mut Vec<Condition>,
    saying: Saying<'_>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let status = if saying.holds { "True" } else { "False" };
    let before = conditions.iter().position(|one| one.r#type == saying.kind);
    let since = before.map(|at| &conditions[at]).filter(|one| one.status == status);
    let condition = Condition {
        r#type: saying.kind.to_owned(),
        status: status.to_owned(),
        last_transition_time: since
            .map_or_else(|| time(now), |one| one.last_transition_time.clone()),
        reason: saying.reason.to_owned(),
        message: saying.message.to_owned(),
        observed_generation: generation,
    };
    match before {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
}

/// A moment as Kubernetes has it, in whole seconds.
pub fn time(at: Timestamp) -> Time {
    let seconds = at.as_millis().div_euclid(1_000);
    Time(jiff::Timestamp::from_second(seconds).unwrap_or_default())
}

/// And back.
pub fn timestamp(time: &Time) -> Timestamp {
    Timestamp::from_millis(time.0.as_millisecond())
}
