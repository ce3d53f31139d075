//! What happens to pods.

use berth_solver::model::{CapacityType, Labels, Name, PodShape, Timestamp, well_known};

use super::{Event, World};
use crate::random::hash;
use crate::replay::chance::draw;
use crate::replay::fleet::{NodeId, Phase, Spread};
use crate::replay::kinds::ShapeId;
use crate::replay::place::{best, fits, mix};
use crate::replay::pods::{PodId, PodRow};
use crate::trace::TraceRecord;

impl World<'_> {
    /// A pod of the trace comes.
    pub fn pod_comes(&mut self, record: TraceRecord, counted: bool) {
        self.ledger.events += 1;
        let shape = self.kinds.of(&record);
        let remaining = record.running_time();
        let remaining = remaining.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        let row = PodRow {
            namespace: record.namespace,
            name: record.name,
            workload: record.workload,
            shape,
            serial: 0,
            since: self.now,
            counted,
            remaining,
            node: None,
            slot: 0,
            started: self.now,
            aim: None,
            shown: false,
            dirty: false,
        };
        let id = self.pods.add(row);
        self.touch_pod(id);
        self.ledger.waits();
        self.schedule(id);
    }

    /// Looks for a node for a pod that waits, and parks it if there is none.
    pub fn schedule(&mut self, id: PodId) {
        let Some(row) = self.pods.get(id) else { return };
        let (shape, aim) = (row.shape, row.aim);
        if let Some(aim) = aim {
            let Some(slot) = self.fleet.slot(aim) else {
                // It is still on its way.
                return self.mirror.wait(id, row, &self.kinds);
            };
            if fits(&mut self.kinds, &self.fleet, shape, slot, true) {
                return self.bind(id, aim);
            }
            self.unaim(id);
        }
        // Where others of its workload are may change without any node having more room.
        let by_room_alone = self.kinds.get(shape).rules.is_none();
        let grown = Some(self.fleet.grown());
        let index = shape as usize;
        if self.full_since.len() <= index {
            self.full_since.resize(index + 1, None);
        }
        if by_room_alone && self.full_since[index] == grown {
            return self.park(id);
        }
        let chance = mix(self.seed.0 ^ mix(u64::from(id) ^ self.now.as_millis().unsigned_abs()));
        let Self { kinds, fleet, style, memory, .. } = self;
        match best(kinds, fleet, *style, shape, chance, memory) {
            Some(node) => self.bind(id, node),
            None => {
                self.full_since[index] = grown;
                self.park(id);
            }
        }
    }

    fn park(&mut self, id: PodId) {
        let Some((since, shape)) = self.pods.get(id).map(|row| (row.since, row.shape)) else {
            return;
        };
        self.parked.entry(shape).or_default().insert((since, id));
        if self.is_possible(shape)
            && let Some(row) = self.pods.get(id)
        {
            self.mirror.wait(id, row, &self.kinds);
            self.attention = true;
        }
    }

    pub fn unpark(&mut self, id: PodId) {
        let Some(row) = self.pods.get(id) else { return };
        let shape = row.shape;
        if let Some(parked) = self.parked.get_mut(&shape) {
            parked.remove(&(row.since, id));
            if parked.is_empty() {
                self.parked.remove(&shape);
            }
        }
    }

    fn bind(&mut self, id: PodId, node: NodeId) {
        self.unaim(id);
        self.unpark(id);
        let pull = self.pull(id, node);
        let now = self.now;
        let Some(row) = self.pods.get_mut(id) else { return };
        row.node = Some(node);
        row.started = Timestamp::from_millis(now.as_millis() + pull);
        let (shape, serial, remaining) = (row.shape, row.serial, row.remaining);
        let (started, since, counted) = (row.started, row.since, row.counted);
        let Some(at) = self.fleet.get_mut(node) else { return };
        row.slot = u32::try_from(at.pods.len()).unwrap_or(u32::MAX);
        at.pods.push(id);
        at.used += &self.kinds.get(shape).shape.requests;
        at.last_pod_event = now;
        let zone = at.zone;
        if let Some(rules) = self.kinds.get(shape).rules {
            let spread = self.fleet.spreads.entry(rules.group).or_default();
            *spread.by_node.entry(node).or_default() += 1;
            *spread.by_zone.entry(zone).or_default() += 1;
        }
        self.fleet.refresh(node);
        if let Some(row) = self.pods.get(id) {
            self.mirror.waits_no_more(id, row);
        }
        self.touch_pod(id);
        self.ledger.events += 1;
        self.ledger.waits_no_more();
        if counted {
            self.ledger.waited(since);
        }
        self.ledger.runs(shape);
        if let Some(remaining) = remaining {
            let ends = started.as_millis().saturating_add(remaining);
            self.events.schedule(Timestamp::from_millis(ends), Event::PodEnds(id, serial));
        }
    }

    /// How long a node pulls images for a pod: nothing if its workload was there before.
    fn pull(&mut self, id: PodId, node: NodeId) -> i64 {
        let Some(row) = self.pods.get(id) else { return 0 };
        let workload = hash(&[&row.workload]);
        if self.fleet.get_mut(node).is_none_or(|at| !at.images.insert(workload)) {
            return 0;
        }
        let stream = &mut self.seed.stream_of(&["image/", &row.workload, "/", &row.name]);
        draw(self.settings.image_pull_seconds, stream)
    }

    /// A pod is on its way to a node.
    pub fn aim(&mut self, id: PodId, node: NodeId) {
        self.unaim(id);
        self.unpark(id);
        let Some(row) = self.pods.get_mut(id).filter(|row| row.node.is_none()) else { return };
        let shape = row.shape;
        let Some(at) = self.fleet.get_mut(node).filter(|at| at.phase != Phase::Going) else {
            return self.schedule(id);
        };
        row.aim = Some(node);
        at.aimed.insert(id);
        at.held += &self.kinds.get(shape).shape.requests;
        self.fleet.refresh(node);
        if self.fleet.slot(node).is_some() {
            self.schedule(id);
        }
    }

    pub fn unaim(&mut self, id: PodId) {
        let Some(row) = self.pods.get_mut(id) else { return };
        let Some(node) = row.aim.take() else { return };
        let shape = row.shape;
        if let Some(at) = self.fleet.get_mut(node)
            && at.aimed.remove(&id)
        {
            at.held -= &self.kinds.get(shape).shape.requests;
            self.fleet.refresh(node);
        }
    }

    /// A pod leaves its node, if it is on one.
    fn leave(&mut self, id: PodId) -> Option<NodeId> {
        let row = self.pods.get_mut(id)?;
        let (node, shape, slot) = (row.node.take()?, row.shape, row.slot as usize);
        self.ledger.runs_no_more(shape);
        let at = self.fleet.get_mut(node)?;
        at.pods.swap_remove(slot);
        if let Some(moved) = at.pods.get(slot).copied()
            && let Some(moved) = self.pods.get_mut(moved)
        {
            moved.slot = u32::try_from(slot).unwrap_or(u32::MAX);
        }
        at.used -= &self.kinds.get(shape).shape.requests;
        at.last_pod_event = self.now;
        let zone = at.zone;
        if let Some(rules) = self.kinds.get(shape).rules
            && let Some(spread) = self.fleet.spreads.get_mut(&rules.group)
        {
            let Spread { by_node, by_zone } = spread;
            if let Some(count) = by_node.get_mut(&node) {
                *count -= 1;
                if *count == 0 {
                    by_node.remove(&node);
                }
            }
            if let Some(count) = by_zone.get_mut(&zone) {
                *count -= 1;
                if *count == 0 {
                    by_zone.remove(&zone);
                }
            }
            if by_node.is_empty() {
                self.fleet.spreads.remove(&rules.group);
            }
        }
        self.fleet.refresh(node);
        self.attention |= self.fleet.get(node).is_some_and(|at| at.pods.is_empty());
        Some(node)
    }

    pub(super) fn pod_ends(&mut self, id: PodId, serial: u64) {
        let Some(row) = self.pods.get(id).filter(|row| row.serial == serial) else { return };
        let rules = self.kinds.get(row.shape).rules;
        let node = self.leave(id);
        if let Some(row) = self.pods.remove(id) {
            self.mirror.pod_is_gone(id, &row);
        }
        let Some(node) = node else { return };
        if self.parked.is_empty() {
            return;
        }
        match rules {
            // It may have kept others of its workload off other nodes.
            Some(_) => self.schedule_parked(),
            None => self.fill(node),
        }
    }

    /// A pod is evicted; its controller makes another one, which goes on where it was.
    pub fn evict(&mut self, id: PodId) {
        let now = self.now;
        if self.leave(id).is_none() {
            return;
        }
        self.ledger.events += 1;
        self.ledger.evicts();
        if let Some(row) = self.pods.get(id) {
            self.mirror.pod_is_gone(id, row);
        }
        self.pods.renew(id);
        let Some(row) = self.pods.get_mut(id) else { return };
        let ran = i64::try_from(now.since(row.started).as_millis()).unwrap_or(i64::MAX);
        row.remaining = row.remaining.map(|remaining| remaining.saturating_sub(ran).max(0));
        row.since = now;
        row.counted = true;
        row.shown = false;
        row.dirty = false;
        self.touch_pod(id);
        self.ledger.waits();
    }

    /// Gives room that came free on a node to the pods that wait.
    pub fn fill(&mut self, node: NodeId) {
        let Some(at) = self.fleet.get(node) else { return };
        for id in at.aimed.iter().copied().collect::<Vec<_>>() {
            self.schedule(id);
        }
        let mut shapes: Vec<ShapeId> = self.parked.keys().copied().collect();
        shapes.sort_by_key(|shape| {
            let oldest = self.parked[shape].first().map(|(since, _)| *since);
            (std::cmp::Reverse(self.kinds.get(*shape).shape.priority), oldest)
        });
        for shape in shapes {
            while let Some(slot) = self.fleet.slot(node)
                && fits(&mut self.kinds, &self.fleet, shape, slot, false)
                && let Some((_, id)) = self.parked.get(&shape).and_then(|parked| parked.first())
            {
                self.bind(*id, node);
            }
        }
    }

    /// Tries all parked pods whose workloads have rules.
    pub fn schedule_parked(&mut self) {
        let with_rules =
            self.parked.iter().filter(|(shape, _)| self.kinds.get(**shape).rules.is_some());
        let mut waiting: Vec<(Timestamp, PodId)> =
            with_rules.flat_map(|(_, parked)| parked.iter().copied()).collect();
        waiting.sort_unstable();
        for (_, id) in waiting {
            self.unpark(id);
            self.schedule(id);
        }
    }

    fn is_possible(&mut self, shape: ShapeId) -> bool {
        let index = shape as usize;
        if self.possible.len() <= index {
            self.possible.resize(index + 1, 0);
        }
        if self.possible[index] == 0 {
            let found = is_sold(&self.market, &self.kinds.get(shape).shape);
            self.possible[index] = 1 + u8::from(found);
        }
        self.possible[index] == 2
    }
}

/// Whether a machine is sold, now or at other times, that could hold the pod.
fn is_sold(market: &super::Market, shape: &PodShape) -> bool {
    let daemon = market.daemon.as_ref().map(|daemon| &daemon.shape.requests);
    market.catalog.instance_types.iter().any(|kind| {
        let mut room = kind.allocatable();
        if let Some(daemon) = daemon {
            room -= daemon;
        }
        shape.requests.fits(&room)
            && kind.offerings.iter().any(|offering| {
                let bought = offering.capacity_type;
                let wanted = market.pool.requirements.get(well_known::CAPACITY_TYPE_LABEL);
                wanted.is_none_or(|set| set.allows(Some(bought.as_str())))
                    && selects(shape, &kind.labels, &offering.zone, bought, &market.pool.labels)
            })
    })
}

fn selects(
    shape: &PodShape,
    kind: &berth_solver::model::Requirements,
    zone: &Name,
    bought: CapacityType,
    pool: &Labels,
) -> bool {
    let allows = |key: &str, value: &str| match key {
        well_known::ZONE_LABEL => zone == value,
        well_known::CAPACITY_TYPE_LABEL => bought.as_str() == value,
        _ => {
            kind.get(key).is_some_and(|set| set.allows(Some(value)))
                || pool.get(key).is_some_and(|label| label == value)
        }
    };
    let terms = &shape.node_affinity;
    shape.node_selector.iter().all(|(key, value)| allows(key, value))
        && (terms.is_empty()
            || terms.iter().any(|term| {
                term.iter().all(|(key, set)| match set.listed() {
                    Some(values) => values.iter().any(|value| allows(key, value)),
                    None => true,
                })
            }))
}
