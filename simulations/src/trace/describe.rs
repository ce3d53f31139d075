//! What is in a trace: how many pods of what size, when, for how long.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::hash::BuildHasher;

use berth_solver::model::Timestamp;
use foldhash::fast::FixedState;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::{TraceError, TraceRecord, TraceShape};

/// No more points of what ran are kept than this.
const MOST_POINTS: usize = 400;
const FIRST_STEP: i64 = 1_000;

/// How something is distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// The least.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// What one in ten exceeds.
    pub p90: f64,
    /// What one in a hundred exceeds.
    pub p99: f64,
    /// The most.
    pub max: f64,
}

/// What ran at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// When, in seconds.
    pub at_seconds: f64,
    /// Pods.
    pub pods: u64,
    /// CPUs that they asked for.
    pub cpu: f64,
    /// GiB that they asked for.
    pub memory_gib: f64,
}

/// Pods of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Size {
    /// CPU up to so many thousandths, a power of two of them.
    pub cpu_milli: i64,
    /// Memory up to so many mebibytes, a power of two.
    pub memory_mib: i64,
    /// How many pods.
    pub pods: u64,
}

/// What is in a trace.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// Pods.
    pub pods: u64,
    /// Those of them that run on past the end.
    pub open_ended: u64,
    /// Workloads.
    pub workloads: u64,
    /// Different shapes: sizes and rules.
    pub shapes: u64,
    /// Pods that ask for graphics cards.
    pub with_gpu: u64,
    /// Pods with rules: selectors, spreads, limits a node.
    pub with_rules: u64,
    /// When the first pod comes, in seconds.
    pub first_seconds: f64,
    /// The last thing that the trace knows of, in seconds.
    pub last_seconds: f64,
    /// CPU that pods ask for.
    pub cpu: Distribution,
    /// GiB that pods ask for.
    pub memory_gib: Distribution,
    /// How long pods live that end, in seconds.
    pub lifetime_seconds: Distribution,
    /// The most pods at once, and when.
    pub most_pods: Point,
    /// The most CPU at once, and when.
    pub most_cpu: Point,
    /// Sizes, by the powers of two that hold them.
    pub sizes: Vec<Size>,
    /// What ran over time.
    pub over_time: Vec<Point>,
}

struct Reading {
    told: Description,
    workloads: HashSet<u64, FixedState>,
    shapes: HashSet<u64, FixedState>,
    cpu: Amounts,
    memory: Amounts,
    lives: Amounts,
    sizes: BTreeMap<(i64, i64), u64>,
    ends: BinaryHeap<Reverse<(Timestamp, i64, i64)>>,
    now: Timestamp,
    pods: u64,
    milli: i64,
    mib: i64,
    next: i64,
    step: i64,
    last: Timestamp,
}

/// Describes pods that come in the order of their times. Keeps what is alive, and eight bytes for
/// each workload and shape.
///
/// # Errors
/// For the first thing that makes no sense.
pub fn describe(
    records: impl Iterator<Item = Result<TraceRecord, TraceError>>,
) -> Result<Description, TraceError> {
    let mut reading: Option<Reading> = None;
    for record in records {
        let record = record?;
        let reading = match &mut reading {
            Some(reading) => reading,
            none => match Reading::begin(record.submit) {
                Some(begun) => none.insert(begun),
                None => break,
            },
        };
        reading.take(&record);
    }
    Ok(reading.map(Reading::end).unwrap_or_default())
}

/// Amounts to three digits; the smallest and the largest exactly.
struct Amounts {
    histogram: Histogram<u64>,
    smallest: u64,
    largest: u64,
}

impl Amounts {
    fn begin() -> Option<Self> {
        Some(Self { histogram: Histogram::new(3).ok()?, smallest: u64::MAX, largest: 0 })
    }

    fn add(&mut self, amount: u64) {
        self.smallest = self.smallest.min(amount);
        self.largest = self.largest.max(amount);
        let _ = self.histogram.record(amount);
    }

    /// What they are like, `unit` of them being one.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn distribution(&self, unit: f64) -> Distribution {
        let (least, most) = (self.smallest.min(self.largest), self.largest);
        let at = |share: f64| self.histogram.value_at_quantile(share).clamp(least, most) as f64;
        Distribution {
            min: least as f64 / unit,
            p50: at(0.5) / unit,
            p90: at(0.9) / unit,
            p99: at(0.99) / unit,
            max: most as f64 / unit,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1e3
}

/// The power of two that holds a size, 1 at least.
fn holds(size: i64) -> i64 {
    size.max(1).unsigned_abs().next_power_of_two().try_into().unwrap_or(i64::MAX)
}

fn has_rules(shape: &TraceShape) -> bool {
    !shape.node_selector.is_empty()
        || !shape.gpu_models.is_empty()
        || shape.zone_spread.is_some()
        || shape.host_spread.is_some()
        || shape.host_anti_affinity
        || shape.capacity_type.is_some()
        || shape.max_per_node.is_some()
}

impl Reading {
    fn begin(first: Timestamp) -> Option<Self> {
        Some(Self {
            told: Description { first_seconds: seconds(first.as_millis()), ..Default::default() },
            workloads: HashSet::default(),
            shapes: HashSet::default(),
            cpu: Amounts::begin()?,
            memory: Amounts::begin()?,
            lives: Amounts::begin()?,
            sizes: BTreeMap::new(),
            ends: BinaryHeap::new(),
            now: first,
            pods: 0,
            milli: 0,
            mib: 0,
            next: first.as_millis(),
            step: FIRST_STEP,
            last: first,
        })
    }

    fn take(&mut self, record: &TraceRecord) {
        self.move_to(record.submit);
        let shape = &record.shape;
        let hash = |of: (&str, &str)| FixedState::default().hash_one(of);
        self.workloads.insert(hash((&record.namespace, &record.workload)));
        self.shapes.insert(FixedState::default().hash_one(shape));
        self.told.pods += 1;
        self.told.open_ended += u64::from(record.end.is_none());
        self.told.with_gpu += u64::from(shape.gpu > 0);
        self.told.with_rules += u64::from(has_rules(shape));
        // They grow with what they are given.
        self.cpu.add(shape.cpu_milli.unsigned_abs());
        self.memory.add(shape.memory_mib.unsigned_abs());
        if let Some(life) = record.lifetime() {
            self.lives.add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        }
        *self.sizes.entry((holds(shape.cpu_milli), holds(shape.memory_mib))).or_default() += 1;
        self.pods += 1;
        self.milli += shape.cpu_milli;
        self.mib += shape.memory_mib;
        if let Some(end) = record.end {
            self.last = self.last.max(end);
            self.ends.push(Reverse((end, shape.cpu_milli, shape.memory_mib)));
        }
        self.last = self.last.max(record.submit);
    }

    /// Everything until then, that moment's endings included.
    fn move_to(&mut self, until: Timestamp) {
        if until > self.now {
            self.note();
        }
        while let Some(Reverse((end, milli, mib))) = self.ends.peek().copied()
            && end <= until
        {
            self.points_until(end);
            self.ends.pop();
            self.pods -= 1;
            self.milli -= milli;
            self.mib -= mib;
        }
        self.points_until(until);
        self.now = until;
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn point(&self, at: i64) -> Point {
        Point {
            at_seconds: seconds(at),
            pods: self.pods,
            cpu: self.milli as f64 / 1e3,
            memory_gib: self.mib as f64 / 1_024.0,
        }
    }

    fn note(&mut self) {
        let point = self.point(self.now.as_millis());
        if point.pods > self.told.most_pods.pods {
            self.told.most_pods = point;
        }
        if point.cpu > self.told.most_cpu.cpu {
            self.told.most_cpu = point;
        }
    }

    fn points_until(&mut self, until: Timestamp) {
        while self.next < until.as_millis() {
            let point = self.point(self.next);
            self.told.over_time.push(point);
            if self.told.over_time.len() > MOST_POINTS {
                let mut keep = false;
                self.told.over_time.retain(|_| {
                    keep = !keep;
                    keep
                });
                self.step *= 2;
            }
            self.next = self.next.saturating_add(self.step);
        }
    }

    fn end(mut self) -> Description {
        self.note();
        let last = self.last;
        self.move_to(last);
        let sizes = self.sizes.iter().map(|((cpu_milli, memory_mib), pods)| Size {
            cpu_milli: *cpu_milli,
            memory_mib: *memory_mib,
            pods: *pods,
        });
        Description {
            workloads: self.workloads.len() as u64,
            shapes: self.shapes.len() as u64,
            last_seconds: seconds(last.as_millis()),
            cpu: self.cpu.distribution(1e3),
            memory_gib: self.memory.distribution(1_024.0),
            lifetime_seconds: self.lives.distribution(1e3),
            sizes: sizes.collect(),
            ..self.told
        }
    }
}
