//! What time it is.
//!
//! Nobody in the daemon asks the operating system: whoever needs the time or wants to wait has a
//! [`Clock`], so that the demo's embedded cluster and the appliance can live in the same,
//! faster, time.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use berth_solver::model::Timestamp;
use parking_lot::Mutex;

/// A clock: the system's, or one that runs faster or stands still. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Virtual(Arc<Mutex<Virtual>>),
}

#[derive(Debug)]
struct Virtual {
    speed: f64,
    running: bool,
    /// A moment in both times.
    real: Instant,
    at: Timestamp,
}

impl Virtual {
    fn now(&self, real: Instant) -> Timestamp {
        if self.running {
            self.at + real.saturating_duration_since(self.real).mul_f64(self.speed)
        } else {
            self.at
        }
    }
}

/// A clock that stands still is looked at so often.
const POLL: Duration = Duration::from_millis(50);

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` now and runs `speed` times as fast as the system's. A speed
    /// that is no positive number counts as 1.
    pub fn running(start: Timestamp, speed: f64) -> Self {
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        let clock = Virtual { speed, running: true, real: Instant::now(), at: start };
        Self(Source::Virtual(Arc::new(Mutex::new(clock))))
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::default() + since
            }
            Source::Virtual(clock) => clock.lock().now(Instant::now()),
        }
    }

    /// Waits for that long by this clock.
    pub async fn sleep(&self, duration: Duration) {
        let Source::Virtual(clock) = &self.0 else {
            return tokio::time::sleep(duration).await;
        };
        let until = self.now() + duration;
        loop {
            let left = until.since(self.now());
            if left.is_zero() {
                return;
            }
            let (running, speed) = {
                let clock = clock.lock();
                (clock.running, clock.speed)
            };
            let wait = if running { left.div_f64(speed) } else { POLL };
            // A timestamp's millisecond is the shortest step that a sleeper can see.
            tokio::time::sleep(wait.max(Duration::from_micros(200))).await;
        }
    }

    /// Stops a clock that is not the system's, or lets it go on.
    pub fn set_running(&self, running: bool) {
        if let Source::Virtual(clock) = &self.0 {
            let mut clock = clock.lock();
            let real = Instant::now();
            clock.at = clock.now(real);
            clock.real = real;
            clock.running = running;
        }
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        match &self.0 {
            Source::System => true,
            Source::Virtual(clock) => clock.lock().running,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_wake_when_their_clock_says_so() {
        let clock = Clock::running(Timestamp::from_seconds(100), 1_000.0);
        clock.sleep(Duration::from_secs(5)).await;
        assert!(clock.now() >= Timestamp::from_seconds(105));
    }

    #[test]
    fn a_stopped_clock_stands_still() {
        let clock = Clock::running(Timestamp::from_seconds(100), 1e9);
        clock.set_running(false);
        let stopped = clock.now();
        assert_eq!((clock.now(), clock.is_running()), (stopped, false));
        clock.set_running(true);
        assert!(clock.now() >= stopped && clock.is_running());
    }
}
