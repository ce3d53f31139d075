//! The first reading of a trace: how much of it there is, and what it asks for when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use berth_solver::model::{PodShape, Timestamp};

use super::kinds::{Kinds, ShapeId};
use super::source::Source;
use crate::trace::TraceError;

/// Samples of what runs are kept at no more moments than this.
const MOST_SAMPLES: usize = 64;
const FIRST_STEP: i64 = 10_000;

/// What is known of a trace before it is replayed.
#[derive(Clone, Debug)]
pub struct Demand {
    /// How many pods there are.
    pub pods: u64,
    /// When the first moment of the replay is.
    pub from: Timestamp,
    /// When it is over: the window's end, or the last thing that the trace knows of.
    pub until: Timestamp,
    /// The most pods at once.
    pub most_pods: u64,
    /// The moment at which most CPU was asked for.
    pub peak_at: Timestamp,
    pub(super) kinds: Kinds,
    pub(super) samples: Vec<Vec<u32>>,
    pub(super) peak: Vec<u32>,
}

struct Reading {
    kinds: Kinds,
    counts: Vec<u32>,
    ends: BinaryHeap<Reverse<(Timestamp, ShapeId)>>,
    alive: u64,
    cpu: i64,
    samples: Vec<Vec<u32>>,
    next_sample: Timestamp,
    step: i64,
    most_pods: u64,
    most_cpu: i64,
    peak: Vec<u32>,
    peak_at: Timestamp,
    latest: Timestamp,
}

impl Demand {
    /// Reads the whole trace.
    ///
    /// # Errors
    /// For the first thing in it that makes no sense.
    pub fn read(source: &Source) -> Result<Self, TraceError> {
        let from = source.window.from.unwrap_or_default();
        let mut reading = Reading {
            kinds: Kinds::default(),
            counts: Vec::new(),
            ends: BinaryHeap::new(),
            alive: 0,
            cpu: 0,
            samples: Vec::new(),
            next_sample: from,
            step: FIRST_STEP,
            most_pods: 0,
            most_cpu: -1,
            peak: Vec::new(),
            peak_at: from,
            latest: from,
        };
        let (mut pods, mut clock) = (0, from);
        for record in source.records()? {
            let record = record?;
            if record.submit > clock {
                reading.move_to(clock, record.submit);
                clock = record.submit;
            }
            let shape = reading.kinds.of(&record);
            reading.add(shape, record.end);
            pods += 1;
        }
        let until = source.window.to.unwrap_or(reading.latest).max(clock);
        reading.move_to(clock, until);
        let Reading { kinds, samples, peak, peak_at, most_pods, .. } = reading;
        Ok(Self { pods, from, until, most_pods, peak_at, kinds, samples, peak })
    }

    /// The pods that ran at the peak: what they ask for, and how many of each.
    pub fn at_peak(&self) -> Vec<(Arc<PodShape>, u32)> {
        self.listed(&self.peak)
    }

    /// How many different shapes there are.
    pub fn shapes(&self) -> usize {
        self.kinds.all().len()
    }

    pub(super) fn listed(&self, counts: &[u32]) -> Vec<(Arc<PodShape>, u32)> {
        let kinds = self.kinds.all().iter();
        kinds
            .zip(counts.iter().copied().chain(std::iter::repeat(0)))
            .map(|(kind, count)| (Arc::clone(&kind.shape), count))
            .collect()
    }
}

impl Reading {
    fn add(&mut self, shape: ShapeId, end: Option<Timestamp>) {
        let index = shape as usize;
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.alive += 1;
        self.cpu += self.kinds.get(shape).plain[0];
        if let Some(end) = end {
            self.latest = self.latest.max(end);
            self.ends.push(Reverse((end, shape)));
        }
    }

    /// Everything that happens from one moment on until before the other.
    fn move_to(&mut self, now: Timestamp, next: Timestamp) {
        self.latest = self.latest.max(now);
        self.note_peak(now);
        while let Some(Reverse((end, shape))) = self.ends.peek().copied() {
            let until = end.min(next);
            self.sample_until(until);
            if end > next {
                break;
            }
            self.ends.pop();
            self.counts[shape as usize] -= 1;
            self.alive -= 1;
            self.cpu -= self.kinds.get(shape).plain[0];
        }
        self.sample_until(next);
    }

    fn note_peak(&mut self, now: Timestamp) {
        self.most_pods = self.most_pods.max(self.alive);
        if self.cpu > self.most_cpu {
            self.most_cpu = self.cpu;
            self.peak.clone_from(&self.counts);
            self.peak_at = now;
        }
    }

    fn sample_until(&mut self, until: Timestamp) {
        while self.next_sample < until {
            self.samples.push(self.counts.clone());
            if self.samples.len() > MOST_SAMPLES {
                let mut keep = false;
                self.samples.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.step *= 2;
            }
            let millis = self.next_sample.as_millis().saturating_add(self.step);
            self.next_sample = Timestamp::from_millis(millis);
        }
    }
}
