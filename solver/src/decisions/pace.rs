//! How a decision's time goes by: written down while it runs, and played back.

use std::cell::{Cell, RefCell};

use serde::{Deserialize, Serialize};

use crate::packing::Stop;

/// The share of the time that is spent counts in steps of one in so many. A decision sees no finer
/// time than is written down.
const STEPS: f64 = 200.0;
/// Nothing asks what happens when this many times the budget is over.
const MOST_STEPS: f64 = 4.0 * STEPS;

/// How the share of the time that was spent grew: from the n-th question on (the first is 1) it
/// was that many two-hundredths, until the next entry. Before the first entry it was 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pace(Vec<(u64, u16)>);

/// A budget, of which a function says what share is spent, that writes down what it said.
#[derive(Debug)]
pub struct Recorded<F> {
    spent: F,
    asked: Cell<u64>,
    pace: RefCell<Pace>,
}

impl<F: Fn() -> f64> Recorded<F> {
    /// Nothing was asked yet.
    pub fn new(spent: F) -> Self {
        Self { spent, asked: Cell::new(0), pace: RefCell::default() }
    }

    /// What it said.
    pub fn into_pace(self) -> Pace {
        self.pace.into_inner()
    }
}

impl<F: Fn() -> f64> Stop for Recorded<F> {
    fn should_stop(&self) -> bool {
        self.spent() >= 1.0
    }

    fn spent(&self) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 800, and nothing for what is no number"
        )]
        let step = ((self.spent)() * STEPS).floor().clamp(0.0, MOST_STEPS) as u16;
        let asked = self.asked.get() + 1;
        self.asked.set(asked);
        let mut pace = self.pace.borrow_mut();
        // Time that goes back is as good as time that stands still.
        let step = step.max(pace.0.last().map_or(0, |(_, step)| *step));
        if step > pace.0.last().map_or(0, |(_, step)| *step) {
            pace.0.push((asked, step));
        }
        f64::from(step) / STEPS
    }
}

/// Says again what was written down.
#[derive(Debug)]
pub struct Paced<'p> {
    pace: &'p Pace,
    asked: Cell<u64>,
    /// How many entries are over.
    over: Cell<usize>,
}

impl<'p> Paced<'p> {
    /// Nothing was asked yet.
    pub const fn new(pace: &'p Pace) -> Self {
        Self { pace, asked: Cell::new(0), over: Cell::new(0) }
    }
}

impl Stop for Paced<'_> {
    fn should_stop(&self) -> bool {
        self.spent() >= 1.0
    }

    fn spent(&self) -> f64 {
        let asked = self.asked.get() + 1;
        self.asked.set(asked);
        while self.pace.0.get(self.over.get()).is_some_and(|(from, _)| *from <= asked) {
            self.over.set(self.over.get() + 1);
        }
        let step = self.over.get().checked_sub(1).map_or(0, |last| self.pace.0[last].1);
        f64::from(step) / STEPS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_said_again() {
        let times = [0.0, 0.004, 0.005, 0.3, 0.2, f64::NAN, 0.3, 1.0, 77.0];
        let next = Cell::new(0);
        let recorded = Recorded::new(|| {
            next.set(next.get() + 1);
            times[next.get() - 1]
        });
        let said: Vec<f64> = times.iter().map(|_| recorded.spent()).collect();
        assert_eq!(said, [0.0, 0.0, 0.005, 0.3, 0.3, 0.3, 0.3, 1.0, 4.0]);
        let pace = recorded.into_pace();
        let text = serde_json::to_string(&pace).unwrap();
        assert_eq!(text, "[[3,1],[4,60],[8,200],[9,800]]");
        let pace: Pace = serde_json::from_str(&text).unwrap();
        let paced = Paced::new(&pace);
        assert_eq!(times.map(|_| paced.spent()), *said);
        assert!(paced.should_stop());
    }
}
