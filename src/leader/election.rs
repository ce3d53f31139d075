use std::time::{Duration, Instant};

/// How long leadership lasts and how often it is renewed. The defaults are client-go's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A lease that nobody has renewed for so long may be taken.
    pub lease_duration: Duration,
    /// A leader that could not renew for so long stops: well before others may take over.
    pub renew_deadline: Duration,
    /// How long to wait between two looks.
    pub retry_period: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseRecord {
    /// `spec.holderIdentity`, empty if nobody holds it.
    pub holder: String,
    /// `spec.renewTime` as the API server writes it. Never compared with a clock of ours, only
    /// with itself: other people's clocks are wrong.
    pub renewed: String,
    /// `spec.leaseTransitions`: how often it changed hands.
    pub transitions: i32,
    /// `metadata.resourceVersion`: a write must name it, so that of two writers one fails.
    pub resource_version: String,
}

impl LeaseRecord {
    fn is_same_as(&self, other: &Self) -> bool {
        (&self.holder, &self.renewed, self.transitions)
            == (&other.holder, &other.renewed, other.transitions)
    }
}

/// What to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no Lease: create it, held by us.
    Create,
    /// Write our name and the time into it, if it is still of this version.
    Write {
        /// The version that was read.
        resource_version: String,
        /// The number of transitions to write.
        transitions: i32,
    },
    /// Somebody else leads.
    Wait,
}

/// Who leads, as far as this process can tell: a state machine without I/O.
///
/// Whether another's lease has run out is measured on our own monotonic clock, from the moment
/// when we last saw it change: wrong wall clocks neither steal a lease nor keep a dead one. Our own
/// leadership ends on the same clock, counted from the moment at which the last successful renewal
/// was *sent*.
#[derive(Debug)]
pub struct Election {
    identity: String,
    timing: Timing,
    observed: Option<(LeaseRecord, Instant)>,
    leading_until: Option<Instant>,
}

impl Election {
    /// A candidate of that name, which no other process may have.
    pub const fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, observed: None, leading_until: None }
    }

    /// Its name.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Until when this process leads, if nothing more is heard.
    pub fn leading_until(&self) -> Option<Instant> {
        self.leading_until
    }

    /// Takes in what the Lease says (`None`: there is none) and tells what to write.
    pub fn observe(&mut self, lease: Option<LeaseRecord>, now: Instant) -> Step {
        let Some(lease) = lease else {
            self.observed = None;
            return Step::Create;
        };
        let since = match &self.observed {
            Some((known, since)) if known.is_same_as(&lease) => *since,
            _ => now,
        };
        let ours = lease.holder == self.identity;
        let free = lease.holder.is_empty() || now >= since + self.timing.lease_duration;
        let step = if ours || free {
            Step::Write {
                resource_version: lease.resource_version.clone(),
                transitions: lease.transitions + i32::from(!ours),
            }
        } else {
            self.leading_until = None;
            Step::Wait
        };
        self.observed = Some((lease, since));
        step
    }

    /// A write that was sent at that moment succeeded.
    pub fn written(&mut self, sent_at: Instant) {
        self.leading_until = Some(sent_at + self.timing.renew_deadline);
    }

    /// Leadership was given up.
    pub fn released(&mut self) {
        self.leading_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewed: &str) -> Option<LeaseRecord> {
        Some(LeaseRecord {
            holder: holder.to_owned(),
            renewed: renewed.to_owned(),
            transitions: 3,
            resource_version: format!("{holder}-{renewed}"),
        })
    }

    fn candidate() -> (Election, Instant) {
        (Election::new("us".to_owned(), Timing::default()), Instant::now())
    }

    fn write(version: &str, transitions: i32) -> Step {
        Step::Write { resource_version: version.to_owned(), transitions }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn creates_the_lease_that_is_not_there() {
        let (mut election, start) = candidate();
        assert_eq!(election.observe(None, start), Step::Create);
        assert_eq!(election.leading_until(), None, "not before the write has succeeded");
        election.written(start);
        assert_eq!(election.leading_until(), Some(start + 10 * SECOND));
    }

    #[test]
    fn takes_over_only_after_a_whole_lease_duration_without_a_change() {
        let (mut election, start) = candidate();
        assert_eq!(election.observe(lease("other", "1"), start), Step::Wait);
        assert_eq!(election.observe(lease("other", "1"), start + 14 * SECOND), Step::Wait);
        assert_eq!(election.observe(lease("other", "2"), start + 15 * SECOND), Step::Wait);
        assert_eq!(election.observe(lease("other", "2"), start + 29 * SECOND), Step::Wait);
        assert_eq!(election.observe(lease("other", "2"), start + 30 * SECOND), write("other-2", 4));
    }

    #[test]
    fn the_age_written_in_a_lease_counts_for_nothing() {
        let (mut election, start) = candidate();
        let ancient = lease("other", "1970-01-01T00:00:00.000000Z");
        assert_eq!(election.observe(ancient, start), Step::Wait);
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        let (mut election, start) = candidate();
        assert_eq!(election.observe(lease("", "1"), start), write("-1", 4));
    }

    #[test]
    fn renewing_does_not_count_as_a_transition() {
        let (mut election, start) = candidate();
        assert_eq!(election.observe(lease("us", "1"), start), write("us-1", 3));
    }

    #[test]
    fn stops_leading_when_another_one_is_seen_to_hold_the_lease() {
        let (mut election, start) = candidate();
        election.written(start);
        assert_eq!(election.observe(lease("other", "1"), start + SECOND), Step::Wait);
        assert_eq!(election.leading_until(), None);
    }
}
