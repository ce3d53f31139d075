//! What other processes took of the machine meanwhile: figures of a shared one say little without.

#[path = "../shared/ticks.rs"]
mod ticks;

use ticks::{numbers, ticks_of};

/// Times since the machine and this process began, in ticks.
#[derive(Clone, Copy)]
pub struct Processor {
    all: u64,
    busy: u64,
    ours: u64,
}

impl Processor {
    pub fn now() -> Self {
        let machine = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        // user, nice, system, idle, iowait, irq, softirq, steal
        let of_machine = machine.lines().next().unwrap_or_default();
        let all: u64 = numbers(of_machine, 1, 8).sum();
        let idle: u64 = numbers(of_machine, 4, 2).sum();
        Self { all, busy: all - idle, ours: ticks_of("self") }
    }

    /// The share of the machine's processors that other processes took since, in %.
    pub fn others(self) -> f64 {
        let now = Self::now();
        let others = (now.busy - self.busy).saturating_sub(now.ours - self.ours);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = others as f64 * 100.0 / (now.all - self.all).max(1) as f64;
        share
    }
}
