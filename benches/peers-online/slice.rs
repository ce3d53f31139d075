//! A slice of a recorded trace: a Deployment for each size of machine, which has as many replicas as
//! there are such machines.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;

use crate::churn::{self, Stay};
use crate::controller::World;
use crate::observer::Observer;
use crate::suites::{Measure, sized};

/// Deployments are scaled so often.
const TICK: Duration = Duration::from_secs(2);

/// Processors' thousandths, mebibytes.
type Size = (i64, i64);

/// Follows the slice and waits until all is quiet; no row if there is no trace.
pub async fn follow(world: &World, observer: &Observer) -> Result<Option<Value>> {
    let Some(stays) = churn::stays() else { return Ok(None) };
    let measure = Measure::begin(world, observer).await?;
    let mut scaled: BTreeMap<Size, usize> = BTreeMap::new();
    let began = Instant::now();
    loop {
        let now = began.elapsed().min(churn::length());
        let alive = alive(&stays, now);
        let changed: Vec<Value> = alive
            .iter()
            .filter(|(size, count)| scaled.get(size) != Some(count))
            .map(|((cpu_milli, memory_mib), count)| sized(*cpu_milli, *memory_mib, *count))
            .collect();
        if !changed.is_empty() {
            world.apply(&changed).await?;
        }
        scaled = alive;
        if now == churn::length() {
            break;
        }
        tokio::time::sleep(TICK).await;
    }
    let pods = scaled.values().sum();
    Ok(Some(measure.end(&format!("{} machines come and go", stays.len()), pods).await?))
}

/// How many machines of each size there are then. The smallest of the trace have one core: what a
/// node keeps for itself must not make it a size larger.
fn alive(stays: &[Stay], now: Duration) -> BTreeMap<Size, usize> {
    let mut alive = BTreeMap::new();
    for stay in stays {
        let count = alive.entry((stay.cpu_milli * 9 / 10, stay.memory_mib * 9 / 10)).or_default();
        *count += usize::from(stay.comes <= now && now < stay.goes);
    }
    alive
}
