//! What happens to nodes, and to the cloud.

use std::sync::Arc;

use berth_solver::model::{Launch, Name, Price, Timestamp};

use super::{Event, OfferingKey, World};
use crate::replay::chance::{draw, interruption, shortage, unit};
use crate::replay::fleet::{NodeId, Phase};
use crate::replay::settings::{Incident, millis};

/// So long an offering that was found to be out is not asked for again: what Karpenter and Berth
/// remember it for.
const EXCLUDED_FOR: i64 = 180_000;
/// A spot machine is taken back so long after it was said.
const SPOT_NOTICE: i64 = 120_000;

/// There are no such machines now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::replay) struct OutOfCapacity;

impl World<'_> {
    /// Asks the cloud for a machine. The node gets a name of its own.
    ///
    /// # Errors
    /// When the cloud has none; the offering is excluded for a while then.
    pub fn launch(
        &mut self,
        launch: Launch,
        planned: Box<[Name]>,
    ) -> Result<NodeId, OutOfCapacity> {
        self.ledger.events += 1;
        let key = offering_of(&launch);
        if self.is_out(&key) {
            let until = Timestamp::from_millis(self.now.as_millis() + EXCLUDED_FOR);
            self.exclude(key, until);
            self.attention = true;
            return Err(OutOfCapacity);
        }
        let takes = self.delay("launch", &key, self.settings.cloud.ready());
        let node = self.add_node(launch, planned);
        self.schedule_node(node, takes, Event::NodeUp);
        self.plan_interruption(node, &key);
        Ok(node)
    }

    /// A machine that is there already.
    pub fn launch_at_once(&mut self, launch: Launch) {
        let node = self.add_node(launch, Box::default());
        if let Some(serial) = self.fleet.get(node).map(|row| row.serial) {
            self.node_up(node, serial);
        }
    }

    fn add_node(&mut self, mut launch: Launch, planned: Box<[Name]>) -> NodeId {
        self.ordinal += 1;
        launch.name = Name::from(format!("{}-{:06}", launch.pool, self.ordinal));
        let kind = self.kinds.of_node(&launch.labels, &launch.taints);
        let node = self.fleet.add(launch, kind, planned, self.now);
        if let Some(row) = self.fleet.get_mut(node) {
            if let Some(daemon) = &self.market.daemon {
                row.used = daemon.shape.requests.clone();
            }
            self.ledger.node_comes(row);
            self.mirror.node_is_coming(row);
        }
        self.touch_node(node);
        node
    }

    /// Draws how long something takes for the next machine of an offering: the same for every
    /// policy that asks for as many of them.
    fn delay(
        &mut self,
        what: &str,
        (kind, zone, bought): &OfferingKey,
        takes: crate::replay::settings::Quantiles,
    ) -> i64 {
        let key = (kind.clone(), zone.clone(), *bought);
        let ordinal = self.launched.entry(key).or_default();
        *ordinal += 1;
        let mut stream = self.seed.stream(&format!("{what}/{kind}/{zone}/{bought}/{ordinal}"));
        draw(takes, &mut stream)
    }

    fn schedule_node(&mut self, node: NodeId, after: i64, event: fn(NodeId, u64) -> Event) {
        if let Some(row) = self.fleet.get(node) {
            let at = Timestamp::from_millis(self.now.as_millis().saturating_add(after));
            self.events.schedule(at, event(node, row.serial));
        }
    }

    fn plan_interruption(&mut self, node: NodeId, (kind, zone, bought): &OfferingKey) {
        let per_hour = self.settings.cloud.spot_interruptions_per_hour;
        let Some(row) = self.fleet.get(node).filter(|row| row.is_spot()) else { return };
        let key = (kind.clone(), zone.clone(), *bought);
        let ordinal = self.launched.get(&key).copied().unwrap_or(0);
        let serial = row.serial;
        let mut stream = self.seed.stream(&format!("interruption/{kind}/{zone}/{ordinal}"));
        if let Some(at) = interruption(per_hour, self.now, self.until, &mut stream) {
            self.events.schedule(at, Event::Interrupted(node, serial));
        }
    }

    pub(super) fn node_up(&mut self, node: NodeId, serial: u64) {
        let coming = |row: &&crate::replay::fleet::NodeRow| {
            row.serial == serial && row.phase == Phase::Coming
        };
        let Some(row) = self.fleet.get(node).filter(coming) else { return };
        self.mirror.node_is_coming_no_more(row);
        self.fleet.open(node, self.now);
        self.touch_node(node);
        self.fill(node);
        if self.parked.keys().any(|shape| self.kinds.get(*shape).rules.is_some()) {
            self.schedule_parked();
        }
        self.attention = true;
    }

    /// Nothing new is to land on a node.
    pub fn keep_off(&mut self, node: NodeId, leaving: bool) {
        let Some(row) = self.fleet.get_mut(node).filter(|row| row.phase != Phase::Going) else {
            return;
        };
        row.leaving = leaving;
        self.fleet.refresh(node);
        self.touch_node(node);
        if !leaving {
            self.fill(node);
        }
    }

    /// Tells a node to go: its pods are evicted and wait, and look for other nodes.
    pub fn remove(&mut self, node: NodeId) {
        let evicted = self.tell_to_go(node);
        evicted.into_iter().for_each(|pod| self.schedule(pod));
    }

    /// The same, but the pods are for the caller to schedule.
    pub fn tell_to_go(&mut self, node: NodeId) -> Vec<crate::replay::pods::PodId> {
        let Some(row) = self.fleet.get(node).filter(|row| row.phase != Phase::Going) else {
            return Vec::new();
        };
        let (pods, aimed) = (row.pods.clone(), row.aimed.clone());
        if row.phase == Phase::Coming {
            self.mirror.node_is_coming_no_more(row);
        }
        let key = offering_of(&row.launch);
        // Nobody is to land on it while its pods look for others.
        self.fleet.close(node);
        for pod in &pods {
            self.evict(*pod);
        }
        let mut homeless = pods;
        for pod in aimed {
            self.unaim(pod);
            homeless.push(pod);
        }
        self.ledger.node_is_told_to_go();
        self.ledger.events += 1;
        self.touch_node(node);
        let (kind, zone, bought) = &key;
        let name = self.fleet.get(node).map(|row| row.serial).unwrap_or_default();
        let mut stream = self.seed.stream(&format!("gone/{kind}/{zone}/{bought}/{name}"));
        let takes = draw(self.settings.cloud.gone(), &mut stream);
        self.schedule_node(node, takes, Event::NodeGone);
        self.attention = true;
        homeless
    }

    pub(super) fn node_gone(&mut self, node: NodeId, serial: u64) {
        if self.fleet.get(node).is_none_or(|row| row.serial != serial) {
            return;
        }
        if let Some(row) = self.fleet.remove(node) {
            self.ledger.node_goes(&row);
            self.mirror.node_is_gone(&row);
        }
        self.attention = true;
    }

    pub(super) fn interrupted(&mut self, node: NodeId, serial: u64) {
        let there = |row: &&crate::replay::fleet::NodeRow| {
            row.serial == serial && row.phase != Phase::Going
        };
        if self.fleet.get(node).filter(there).is_some() {
            let homeless = self.tell_to_go(node);
            homeless.into_iter().for_each(|pod| self.schedule(pod));
            self.schedule_node(node, SPOT_NOTICE, Event::NodeGone);
        }
    }

    /// Whether the cloud has no such machine now.
    fn is_out(&self, (kind, zone, bought): &OfferingKey) -> bool {
        let now = self.now;
        let cloud = &self.settings.cloud;
        let offering = format!("{kind}/{zone}/{bought}");
        let (per_day, lasts) = (cloud.shortages_per_day, cloud.shortage_seconds);
        self.market.down.get(zone).is_some_and(|until| now < *until)
            || self
                .market
                .short
                .iter()
                .any(|(prefix, until)| now < *until && kind.starts_with(prefix.as_str()))
            || shortage(self.seed, &offering, per_day, lasts, now).is_some()
    }

    fn exclude(&mut self, key: OfferingKey, until: Timestamp) {
        self.market.excluded.insert(key.clone(), until);
        self.set_available(&key, false);
    }

    /// Offers again what was out long enough. Returns when the next is to be.
    pub fn forget_exclusions(&mut self) -> Option<Timestamp> {
        let over: Vec<OfferingKey> = self
            .market
            .excluded
            .iter()
            .filter(|(_, until)| **until <= self.now)
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            self.market.excluded.remove(&key);
            self.set_available(&key, true);
        }
        self.market.excluded.values().min().copied()
    }

    fn set_available(&mut self, (kind, zone, bought): &OfferingKey, available: bool) {
        let catalog = Arc::make_mut(&mut self.market.catalog);
        let offerings = catalog.instance_types.iter_mut().filter(|one| one.name == *kind);
        let offerings = offerings.flat_map(|one| &mut one.offerings);
        for offering in offerings {
            if offering.zone == *zone && offering.capacity_type == *bought {
                offering.available = available;
            }
        }
        self.mirror.market_changes(&self.market);
    }

    pub(super) fn incident(&mut self, index: usize) {
        let settings = self.settings;
        let Some(incident) = settings.incidents.get(index) else { return };
        let until = |seconds: f64| {
            Timestamp::from_millis(self.now.as_millis().saturating_add(millis(seconds)))
        };
        match incident {
            Incident::ZoneOutage { zone, for_seconds, .. } => {
                let until = until(*for_seconds);
                self.market.down.insert(zone.clone(), until);
                let lost = |row: &crate::replay::fleet::NodeRow| row.launch.zone == *zone;
                self.lose_nodes(|_, row| lost(row));
            }
            Incident::SpotStorm { percent, .. } => {
                let (seed, share) = (self.seed, f64::from(*percent) / 100.0);
                self.lose_nodes(|_, row| {
                    let name = format!("storm/{index}/{}", row.name);
                    row.is_spot() && unit(&mut seed.stream(&name)) < share
                });
            }
            Incident::PriceChange { instance_type_prefix, factor, .. } => {
                self.change_prices(instance_type_prefix, *factor);
            }
            Incident::Shortage { instance_type_prefix, for_seconds, .. } => {
                let until = until(*for_seconds);
                self.market.short.push((instance_type_prefix.clone(), until));
            }
        }
        self.attention = true;
    }

    /// All of these nodes go at once; their pods look for others then.
    fn lose_nodes(&mut self, is_lost: impl Fn(NodeId, &crate::replay::fleet::NodeRow) -> bool) {
        let there = self.fleet.iter().filter(|(_, row)| row.phase != Phase::Going);
        let lost: Vec<NodeId> =
            there.filter(|(id, row)| is_lost(*id, row)).map(|(id, _)| id).collect();
        let mut homeless = Vec::new();
        for node in lost {
            homeless.extend(self.tell_to_go(node));
        }
        homeless.into_iter().for_each(|pod| self.schedule(pod));
    }

    fn change_prices(&mut self, prefix: &Name, factor: f64) {
        let changed = |price: Price| Price::per_hour(price.as_f64() * factor).unwrap_or(price);
        let catalog = Arc::make_mut(&mut self.market.catalog);
        for kind in &mut catalog.instance_types {
            if kind.name.starts_with(prefix.as_str()) {
                kind.offerings.iter_mut().for_each(|one| one.price = changed(one.price));
            }
        }
        self.mirror.market_changes(&self.market);
        let factor = if prefix.is_empty() { factor } else { factor.min(1.0) };
        self.ledger.prices_change(factor, &self.kinds);
        let nodes: Vec<NodeId> = self.fleet.iter().map(|(id, _)| id).collect();
        for node in nodes {
            let Some(row) = self.fleet.get_mut(node) else { continue };
            if row.launch.instance_type.starts_with(prefix.as_str()) {
                let before = row.price;
                row.price = changed(before);
                self.ledger.price_changes(before, row.price);
                self.fleet.refresh(node);
                self.touch_node(node);
            }
        }
    }
}

fn offering_of(launch: &Launch) -> OfferingKey {
    (launch.instance_type.clone(), launch.zone.clone(), launch.capacity_type)
}
