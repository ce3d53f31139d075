use berth_solver::model::Timestamp;

use super::TraceRecord;

/// A moment of a trace, and who is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment<'a> {
    /// When.
    pub at: Timestamp,
    /// The pods that are there, in the order of the trace.
    pub alive: Vec<&'a TraceRecord>,
}

/// Who is there at `count` evenly spaced moments between the first pod's coming and the last
/// one's, both left out: with 3, after a quarter, a half and three quarters of that time. None for
/// a trace without pods.
pub fn snapshots(records: &[TraceRecord], count: u32) -> Vec<Moment<'_>> {
    let submits = || records.iter().map(|record| record.submit.as_millis());
    let (Some(first), Some(last)) = (submits().min(), submits().max()) else { return Vec::new() };
    let span = i128::from(last) - i128::from(first);
    (1..=count)
        .map(|index| {
            let offset = span * i128::from(index) / (i128::from(count) + 1);
            let offset = i64::try_from(offset).unwrap_or(i64::MAX);
            let at = Timestamp::from_millis(first.saturating_add(offset));
            let alive = records.iter().filter(|record| record.is_alive_at(at)).collect();
            Moment { at, alive }
        })
        .collect()
}
