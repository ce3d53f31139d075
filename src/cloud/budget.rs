//! How many calls may be made.

use std::time::Duration;

use berth_solver::model::Timestamp;

/// A bucket of calls that fills up by the minute, and a time before which none may be made. Pure:
/// whoever asks says what time it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    per_minute: u32,
    /// Calls that may be made at once, in 60,000ths.
    tokens: u64,
    filled_at: Timestamp,
    not_before: Timestamp,
}

/// What a call costs of the bucket: so that each millisecond adds `per_minute`.
const CALL: u64 = 60_000;

impl Budget {
    /// A full bucket. At most `per_minute` calls a minute, and half of that at once.
    pub fn new(per_minute: u32, now: Timestamp) -> Self {
        let per_minute = per_minute.max(2);
        let tokens = u64::from(per_minute / 2) * CALL;
        Self { per_minute, tokens, filled_at: now, not_before: Timestamp::default() }
    }

    /// Takes a call out of the bucket, or says how long to wait before asking again.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        let elapsed = u64::try_from(now.since(self.filled_at).as_millis()).unwrap_or(u64::MAX);
        let most = u64::from(self.per_minute / 2) * CALL;
        self.tokens =
            self.tokens.saturating_add(elapsed.saturating_mul(self.per_minute.into())).min(most);
        self.filled_at = self.filled_at.max(now);
        let closed = self.not_before.since(now);
        if !closed.is_zero() {
            return Err(closed);
        }
        match self.tokens.checked_sub(CALL) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => {
                let missing = (CALL - self.tokens).div_ceil(self.per_minute.into());
                Err(Duration::from_millis(missing))
            }
        }
    }

    /// Nothing is called before that time: the server asked for it.
    pub fn close_until(&mut self, time: Timestamp) {
        self.not_before = self.not_before.max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_spread_over_the_minute_after_the_first_half() {
        let now = Timestamp::from_seconds(1_000);
        let mut budget = Budget::new(6, now);
        assert_eq!([(); 3].map(|()| budget.take(now)), [Ok(()); 3]);
        assert_eq!(budget.take(now), Err(Duration::from_secs(10)));
        let later = now + Duration::from_secs(4);
        assert_eq!(budget.take(later), Err(Duration::from_secs(6)));
        assert_eq!(budget.take(now + Duration::from_secs(10)), Ok(()));
        // An hour's rest does not add up to more than half a minute's calls.
        let rested = now + Duration::from_secs(3_600);
        assert_eq!([(); 4].map(|()| budget.take(rested).is_ok()), [true, true, true, false]);
    }

    #[test]
    fn nothing_is_called_before_the_server_wants_it() {
        let now = Timestamp::from_seconds(1_000);
        let mut budget = Budget::new(60, now);
        budget.close_until(now + Duration::from_secs(9));
        budget.close_until(now + Duration::from_secs(3));
        assert_eq!(budget.take(now), Err(Duration::from_secs(9)));
        assert_eq!(budget.take(now + Duration::from_secs(9)), Ok(()));
    }
}
