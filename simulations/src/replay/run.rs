//! One policy on one trace, from the first moment to the last.

use std::sync::Arc;

use berth_solver::model::{CapacityType, Catalog, Price, Timestamp};
use berth_solver::packing;

use super::bound::Yardstick;
use super::demand::Demand;
use super::ledger::Ledger;
use super::mirror::market_alone;
use super::objects;
use super::policy::{Decision, Policy, PolicyName};
use super::settings::ReplaySettings;
use super::source::Source;
use super::summary::Summary;
use super::timeline::Moment;
use super::world::{Market, Recorded, World};
use crate::trace::TraceError;

/// A policy looks at changes at most so often, in milliseconds of the trace.
const LOOK_EVERY: i64 = 200;

/// Where a replay's timeline and decisions go while it runs, so that they need no memory.
pub trait Sink {
    /// An interval is over.
    fn moment(&mut self, moment: &Moment);

    /// A policy decided something: a line of JSON.
    fn decision(&mut self, line: &str);

    /// Whether [`Self::recorded`] wants to hear of anything.
    fn wants_recorded(&self) -> bool {
        false
    }

    /// Berth decided something: all that it takes to decide it again.
    fn recorded(&mut self, _: Recorded) {}

    /// The replay has come to that share of its time.
    fn progress(&mut self, share: f64);

    /// The policy begins to look at the world: for those who want to know how long it takes.
    fn look_begins(&mut self) {}

    /// It has looked, decided, and had it done.
    fn look_ends(&mut self) {}
}

/// What a replay comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// In figures.
    pub summary: Summary,
    /// How many pods came.
    pub came: u64,
    /// How many of them ended.
    pub ended: u64,
    /// How many ran at the end.
    pub running: u64,
}

/// Everything that policies have in common.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The trace.
    pub source: Source,
    /// What was found in it at the first reading.
    pub demand: Arc<Demand>,
    /// What is sold.
    pub catalog: Arc<Catalog>,
    /// The settings.
    pub settings: ReplaySettings,
    /// Where chance comes from.
    pub seed: u64,
    yardstick: Arc<Yardstick>,
}

impl Replay {
    /// Reads the trace once, and finds what proves the bound.
    ///
    /// # Errors
    /// For the first thing in the trace that makes no sense.
    pub fn prepare(
        source: Source,
        catalog: Catalog,
        settings: ReplaySettings,
        seed: u64,
    ) -> Result<Self, TraceError> {
        let demand = Demand::read(&source)?;
        let catalog = Arc::new(catalog);
        let (demand, yardstick) = (Arc::new(demand), Arc::new(Yardstick::default()));
        let mut replay = Self { source, demand, catalog, settings, seed, yardstick };
        replay.find_values();
        Ok(replay)
    }

    /// The same trace under other settings.
    #[must_use]
    pub fn with_settings(&self, settings: ReplaySettings) -> Self {
        let same_market = settings.pool == self.settings.pool;
        let mut replay = Self { settings, ..self.clone() };
        if !same_market {
            replay.find_values();
        }
        replay
    }

    fn find_values(&mut self) {
        let market = market_alone(&self.market(self.node_price())).snapshot();
        let packing = packing::Settings::default();
        self.yardstick = Arc::new(Yardstick::new(&self.demand, &market, &packing));
    }

    /// What each node costs beside its machine.
    fn node_price(&self) -> Price {
        Price::per_hour(self.settings.pool.node_price).unwrap_or_default()
    }

    /// What is sold, each machine that much dearer than in the catalog.
    fn market(&self, dearer: Price) -> Market {
        let mut catalog = (*self.catalog).clone();
        for kind in &mut catalog.instance_types {
            if !self.settings.pool.spot {
                kind.offerings.retain(|one| one.capacity_type != CapacityType::Spot);
            }
            kind.offerings.iter_mut().for_each(|one| one.price += dearer);
        }
        Market {
            pool: Arc::new(objects::pool(&self.settings.pool)),
            catalog: Arc::new(catalog),
            daemon: objects::daemon(&self.settings.pool).map(Arc::new),
            excluded: std::collections::BTreeMap::new(),
            down: std::collections::BTreeMap::new(),
            short: Vec::new(),
        }
    }

    /// Replays the trace under a policy.
    ///
    /// # Errors
    /// When the trace cannot be read a second time.
    pub fn run(&self, policy: PolicyName, sink: &mut dyn Sink) -> Result<Replayed, TraceError> {
        let Demand { from, until, .. } = *self.demand;
        let yardstick = Arc::clone(&self.yardstick);
        let (seen, unseen) = match policy.sees_node_price(&self.settings) {
            true => (self.node_price(), Price::ZERO),
            false => (Price::ZERO, self.node_price()),
        };
        let rows = self.settings.timeline_rows;
        let Some(ledger) = Ledger::new(yardstick, from, until, rows, unseen) else {
            return Err(TraceError {
                file: self.source.path.display().to_string(),
                line: None,
                column: None,
                problem: "no histogram of waiting times can be made".to_owned(),
            });
        };
        let style = policy.style(&self.settings);
        let market = self.market(seen);
        let mut world = World::new(&self.settings, &self.demand, market, ledger, style, self.seed);
        world.recorded = sink.wants_recorded().then(Vec::new);
        let decides = policy.start(&self.settings, &self.demand, self.seed);
        let mut run = Run { world, decides, sink, wake: Some(from), looked: None, came: 0 };
        run.go(&self.source)?;
        Ok(run.finish(policy))
    }
}

struct Run<'a> {
    world: World<'a>,
    decides: Box<dyn Policy>,
    sink: &'a mut dyn Sink,
    /// When the policy wants to look again.
    wake: Option<Timestamp>,
    looked: Option<Timestamp>,
    came: u64,
}

impl Run<'_> {
    fn go(&mut self, source: &Source) -> Result<(), TraceError> {
        let mut records = source.records()?.peekable();
        let from = self.world.now;
        let until = self.world.until;
        self.look();
        loop {
            let arrival = match records.peek() {
                Some(Ok(record)) => Some(record.submit),
                Some(Err(error)) => return Err(error.clone()),
                None => None,
            };
            let next = [arrival, self.world.events.next_at(), self.next_look()];
            let next = next.into_iter().flatten().min().unwrap_or(until);
            let next = next.max(self.world.now).min(until);
            self.close_intervals(next);
            self.world.move_to(next);
            if next >= until {
                break;
            }
            self.world.run_due();
            while let Some(Ok(record)) =
                records.next_if(|record| record.as_ref().is_ok_and(|record| record.submit <= next))
            {
                self.came += 1;
                let counted = record.submit > from;
                self.world.pod_comes(record, counted);
            }
            if self.next_look().is_some_and(|at| at <= next) {
                self.look();
            }
        }
        Ok(())
    }

    /// When the policy looks next: when it wants to, or soon after something happened.
    fn next_look(&self) -> Option<Timestamp> {
        let soon = self.world.attention.then(|| {
            let earliest = self.looked.map(|at| at.as_millis() + LOOK_EVERY);
            Timestamp::from_millis(earliest.unwrap_or(i64::MIN).max(self.world.now.as_millis()))
        });
        super::policy::earlier(self.wake, soon)
    }

    fn look(&mut self) {
        let now = self.world.now;
        self.world.attention = false;
        self.world.ledger.events += 1;
        self.looked = Some(now);
        let mut log: Vec<Decision> = Vec::new();
        self.sink.look_begins();
        let wake = self.decides.look(&mut self.world, &mut log);
        self.sink.look_ends();
        // It must not look again at the same moment for ever.
        let soonest = Timestamp::from_millis(now.as_millis() + 1);
        self.wake = wake.map(|at| at.max(soonest));
        for recorded in self.world.recorded.iter_mut().flat_map(std::mem::take) {
            self.sink.recorded(recorded);
        }
        for decision in log {
            if let Ok(line) = serde_json::to_string(&decision) {
                self.sink.decision(&line);
            }
        }
    }

    fn close_intervals(&mut self, until: Timestamp) {
        while self.world.ledger.interval_ends() <= until {
            let ends = self.world.ledger.interval_ends();
            self.world.move_to(ends.min(self.world.until));
            self.world.ledger.close_interval(&self.world.kinds);
            self.tell();
            if ends >= self.world.until {
                break;
            }
        }
    }

    fn tell(&mut self) {
        for moment in self.world.ledger.take_rows() {
            self.sink.moment(&moment);
            let all = self.world.until.as_millis() as f64 / 1e3;
            self.sink.progress((moment.at_seconds + moment.seconds) / all.max(1.0));
        }
    }

    fn finish(mut self, policy: PolicyName) -> Replayed {
        let world = &mut self.world;
        let waiting = world.pods.iter().filter(|(_, row)| row.node.is_none() && row.counted);
        for since in waiting.map(|(_, row)| row.since).collect::<Vec<_>>() {
            world.ledger.waited(since);
        }
        let unplaced = world.unplaced();
        let running = world.pods.alive() - unplaced;
        world.ledger.close_interval(&world.kinds);
        self.tell();
        let summary = self.world.ledger.summary(policy.as_str(), unplaced);
        let ended = self.came - self.world.pods.alive();
        Replayed { summary, came: self.came, ended, running }
    }
}
