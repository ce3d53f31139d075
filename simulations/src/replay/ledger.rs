//! What is counted while a replay runs: money, time, waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use berth_solver::model::{Name, Price, Timestamp};
use hdrhistogram::Histogram;

use super::bound::Yardstick;
use super::fleet::NodeRow;
use super::kinds::{Kinds, ShapeId};
use super::summary::{Quantities, Summary, Utilization};
use super::timeline::Moment;

const HOUR: f64 = 3_600_000.0;
const CORE: f64 = 1_000.0;
const GIB: f64 = (1_u64 << 30) as f64;

/// Sums over time, of the whole replay or of an interval.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// Billionths per hour times milliseconds.
    cost: u128,
    node_millis: u128,
    cpu: u128,
    memory: u128,
    pending: u128,
    launches: u64,
    removals: u64,
    evictions: u64,
}

/// Nodes of a type.
#[derive(Clone, Copy, Debug, Default)]
struct OfType {
    nodes: u64,
    millis: u128,
    last: Timestamp,
}

/// All that is counted.
#[derive(Debug)]
pub(super) struct Ledger {
    yardstick: Arc<Yardstick>,
    /// Prices have been multiplied by no less than this.
    factor: f64,
    now: Timestamp,
    from: Timestamp,
    interval: i64,
    began: Timestamp,
    /// What each node costs that the policy does not see.
    unseen: Price,
    rate: u64,
    nodes: u64,
    cpu: i64,
    memory: i64,
    pending: u64,
    total: Sums,
    part: Sums,
    running: Vec<u64>,
    pod_millis: Vec<u128>,
    last: Vec<Timestamp>,
    types: BTreeMap<Name, OfType>,
    waits: Histogram<u64>,
    longest: u64,
    pods: f64,
    used: [f64; 2],
    bound: f64,
    peak_nodes: u64,
    rows: Vec<Moment>,
    /// Events so far.
    pub events: u64,
}

impl Ledger {
    pub fn new(
        yardstick: Arc<Yardstick>,
        from: Timestamp,
        until: Timestamp,
        rows: u32,
        unseen: Price,
    ) -> Option<Self> {
        let span = until.as_millis().saturating_sub(from.as_millis()).max(1);
        let interval = (span / i64::from(rows.max(1)) + 1).max(1_000);
        Some(Self {
            yardstick,
            factor: 1.0,
            now: from,
            from,
            interval,
            began: from,
            unseen,
            rate: 0,
            nodes: 0,
            cpu: 0,
            memory: 0,
            pending: 0,
            total: Sums::default(),
            part: Sums::default(),
            running: Vec::new(),
            pod_millis: Vec::new(),
            last: Vec::new(),
            types: BTreeMap::new(),
            // Three significant digits.
            waits: Histogram::new(3).ok()?,
            longest: 0,
            pods: 0.0,
            used: [0.0; 2],
            bound: 0.0,
            peak_nodes: 0,
            rows: Vec::new(),
            events: 0,
        })
    }

    /// When the interval ends.
    pub fn interval_ends(&self) -> Timestamp {
        Timestamp::from_millis(self.began.as_millis().saturating_add(self.interval))
    }

    /// Time passes.
    pub fn advance(&mut self, now: Timestamp) {
        let millis = now.since(self.now).as_millis();
        if millis == 0 {
            return;
        }
        self.now = now;
        let cpu = u128::from(self.cpu.unsigned_abs());
        let memory = u128::from(self.memory.unsigned_abs());
        for sums in [&mut self.total, &mut self.part] {
            sums.cost += u128::from(self.rate) * millis;
            sums.node_millis += u128::from(self.nodes) * millis;
            sums.cpu += cpu * millis;
            sums.memory += memory * millis;
            sums.pending += u128::from(self.pending) * millis;
        }
    }

    pub fn node_comes(&mut self, row: &NodeRow) {
        self.rate += (row.price + self.unseen).as_nanos();
        self.nodes += 1;
        self.peak_nodes = self.peak_nodes.max(self.nodes);
        self.cpu += row.launch.allocatable.cpu.0;
        self.memory += row.launch.allocatable.memory.0;
        self.total.launches += 1;
        self.part.launches += 1;
        self.of_type(&row.launch.instance_type).nodes += 1;
    }

    pub fn node_is_told_to_go(&mut self) {
        self.total.removals += 1;
        self.part.removals += 1;
    }

    pub fn node_goes(&mut self, row: &NodeRow) {
        self.rate = self.rate.saturating_sub((row.price + self.unseen).as_nanos());
        self.nodes = self.nodes.saturating_sub(1);
        self.cpu -= row.launch.allocatable.cpu.0;
        self.memory -= row.launch.allocatable.memory.0;
        let of_type = self.of_type(&row.launch.instance_type);
        of_type.nodes = of_type.nodes.saturating_sub(1);
    }

    pub fn price_changes(&mut self, from: Price, to: Price) {
        self.rate = self.rate.saturating_sub(from.as_nanos()) + to.as_nanos();
    }

    /// All prices are at least so many times what they were.
    pub fn prices_change(&mut self, factor: f64, kinds: &Kinds) {
        self.close_interval(kinds);
        self.factor *= factor;
        self.yardstick = Arc::new(self.yardstick.times(factor));
    }

    fn of_type(&mut self, name: &Name) -> &mut OfType {
        let now = self.now;
        if !self.types.contains_key(name) {
            self.types.insert(name.clone(), OfType { last: now, ..OfType::default() });
        }
        let of_type = self.types.entry(name.clone()).or_default();
        of_type.millis += u128::from(of_type.nodes) * now.since(of_type.last).as_millis();
        of_type.last = now;
        of_type
    }

    pub fn waits(&mut self) {
        self.pending += 1;
    }

    /// A pod that waited does so no more.
    pub fn waits_no_more(&mut self) {
        self.pending = self.pending.saturating_sub(1);
    }

    pub fn waited(&mut self, since: Timestamp) {
        let millis = u64::try_from(self.now.since(since).as_millis()).unwrap_or(u64::MAX);
        self.longest = self.longest.max(millis);
        // It grows with what it is given.
        let _ = self.waits.record(millis);
    }

    pub fn evicts(&mut self) {
        self.total.evictions += 1;
        self.part.evictions += 1;
    }

    pub fn runs(&mut self, shape: ShapeId) {
        self.count(shape);
        self.running[shape as usize] += 1;
    }

    pub fn runs_no_more(&mut self, shape: ShapeId) {
        self.count(shape);
        let running = &mut self.running[shape as usize];
        *running = running.saturating_sub(1);
    }

    fn count(&mut self, shape: ShapeId) {
        let index = shape as usize;
        if self.running.len() <= index {
            self.running.resize(index + 1, 0);
            self.pod_millis.resize(index + 1, 0);
            self.last.resize(index + 1, self.began);
        }
        let millis = self.now.since(self.last[index]).as_millis();
        self.pod_millis[index] += u128::from(self.running[index]) * millis;
        self.last[index] = self.now;
    }

    /// An interval ends now.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn close_interval(&mut self, kinds: &Kinds) {
        let millis = self.now.since(self.began).as_millis() as f64;
        if millis <= 0.0 {
            return;
        }
        for shape in 0..self.running.len() {
            self.count(u32::try_from(shape).unwrap_or(u32::MAX));
        }
        let hours: Vec<f64> = self.pod_millis.iter().map(|one| *one as f64 / HOUR).collect();
        let bound = self.yardstick.of(&hours);
        let pods = hours.iter().fold(0.0, |sum, hours| sum + hours);
        let mut used = [0.0; 2];
        for (kind, hours) in kinds.all().iter().zip(&hours) {
            used[0] += kind.plain[0] as f64 * hours;
            used[1] += kind.plain[1] as f64 * hours;
        }
        let names: Vec<Name> = self.types.keys().cloned().collect();
        names.iter().for_each(|name| {
            self.of_type(name);
        });
        let part = self.part;
        let mean = |sum: u128| sum as f64 / millis;
        let per_hour = HOUR / millis;
        self.rows.push(Moment {
            at_seconds: self.began.as_millis() as f64 / 1e3,
            seconds: millis / 1e3,
            cost_per_hour: mean(part.cost) / 1e9,
            bound_per_hour: bound * per_hour,
            nodes: mean(part.node_millis),
            pods: pods * per_hour,
            pending: mean(part.pending),
            cpu_used: used[0] * per_hour / CORE,
            cpu: mean(part.cpu) / CORE,
            memory_used: used[1] * per_hour / GIB,
            memory: mean(part.memory) / GIB,
            launches: part.launches,
            removals: part.removals,
            evictions: part.evictions,
            longest_wait: self.longest as f64 / 1e3,
            types: self.types.iter().map(|(name, one)| (name.clone(), mean(one.millis))).collect(),
        });
        self.types.retain(|_, of_type| of_type.nodes > 0);
        self.types.values_mut().for_each(|of_type| of_type.millis = 0);
        self.pods += pods;
        self.used[0] += used[0];
        self.used[1] += used[1];
        self.bound += bound;
        self.part = Sums::default();
        self.pod_millis.fill(0);
        self.longest = 0;
        self.began = self.now;
    }

    /// The rows of the timeline since this was last asked.
    pub fn take_rows(&mut self) -> Vec<Moment> {
        std::mem::take(&mut self.rows)
    }

    /// All of it, after the last interval was closed.
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    pub fn summary(&self, policy: &str, unplaced: u64) -> Summary {
        let total = &self.total;
        let waited = |share: f64| self.waits.value_at_quantile(share) as f64 / 1e3;
        let ratio = |used: f64, of: u128| {
            let of = of as f64 / HOUR;
            if of > 0.0 { used / of } else { 0.0 }
        };
        Summary {
            policy: policy.to_owned(),
            cost_total: total.cost as f64 / HOUR / 1e9,
            cost_lower_bound: self.bound,
            node_hours: total.node_millis as f64 / HOUR,
            pod_hours: self.pods,
            pending_seconds: Quantities {
                p50: waited(0.5),
                p90: waited(0.9),
                p99: waited(0.99),
                max: self.waits.max() as f64 / 1e3,
            },
            unplaced,
            evictions: total.evictions,
            launches: total.launches,
            removals: total.removals,
            peak_nodes: self.peak_nodes,
            mean_utilization: Utilization {
                cpu: ratio(self.used[0], total.cpu),
                memory: ratio(self.used[1], total.memory),
            },
            simulated_seconds: self.now.since(self.from).as_secs_f64(),
            wall_seconds: None,
            events: self.events,
        }
    }
}
