use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::model::{LabelSelector, Operator, Pod, PodShape, well_known};

use super::{ShapeBuilder, labels, pods, shape};

/// A kind of generated workload, for benches. The same seed gives the same pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// 8 shapes of plain services.
    Tiny,
    /// 25 shapes of plain services: round amounts, 1 to 8 GiB a CPU, a few shapes with most pods.
    Diverse,
    /// 25 shapes of small plain services, of which a node holds dozens: 50 to 250m, 1 to 4 GiB a
    /// CPU.
    Small,
    /// 100 shapes, most of them with a rule: zone or host spread, host anti-affinity, an
    /// architecture, a capacity type, a zone.
    Constrained,
    /// 500 shapes of arbitrary amounts, log-normally distributed: many small pods, few huge ones.
    Heavy500,
    /// The same with 2,000 shapes.
    Heavy2000,
    /// The five kinds of pod of Karpenter's own scheduling benchmark, in equal parts: plain, zone
    /// spread, host spread, zone affinity, host anti-affinity.
    Karpenter,
}

impl Workload {
    /// Those that packing is measured with.
    pub const ALL: [Self; 6] = [
        Self::Tiny,
        Self::Diverse,
        Self::Constrained,
        Self::Heavy500,
        Self::Heavy2000,
        Self::Karpenter,
    ];

    /// What it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Diverse => "diverse",
            Self::Small => "small",
            Self::Constrained => "constrained",
            Self::Heavy500 => "heavy-500",
            Self::Heavy2000 => "heavy-2000",
            Self::Karpenter => "karpenter",
        }
    }

    /// That many pending pods.
    pub fn pods(self, count: usize, seed: u64) -> Vec<Pod> {
        let random = &mut SmallRng::seed_from_u64(seed);
        let shapes: Vec<Arc<PodShape>> = match self {
            Self::Tiny => (0..8).map(|index| service(index, random).build()).collect(),
            Self::Diverse => (0..25).map(|index| service(index, random).build()).collect(),
            Self::Small => (0..25).map(|index| small(index, random).build()).collect(),
            Self::Constrained => (0..100).map(|index| constrained(index, random)).collect(),
            Self::Heavy500 => (0..500).map(|index| heavy(index, random)).collect(),
            Self::Heavy2000 => (0..2_000).map(|index| heavy(index, random)).collect(),
            Self::Karpenter => return karpenter(count, random),
        };
        deal(&shapes, count, random)
    }
}

/// Deals pods out to shapes: at least one each, the rest by Zipf's law over a random order.
fn deal(shapes: &[Arc<PodShape>], count: usize, random: &mut SmallRng) -> Vec<Pod> {
    let ranks: Vec<f64> = shapes.iter().map(|_| random.random_range(1.0..20.0)).collect();
    let total: f64 = ranks.iter().map(|rank| 1.0 / rank).sum();
    let mut dealt: Vec<Pod> = Vec::with_capacity(count);
    for (index, (shape, rank)) in shapes.iter().zip(&ranks).enumerate() {
        let share = (count as f64 / rank / total).round().max(1.0) as usize;
        let rest = count.saturating_sub(dealt.len());
        let last = index + 1 == shapes.len();
        dealt.extend(pods(&format!("s{index}"), if last { rest } else { share.min(rest) }, shape));
    }
    dealt
}

fn service(index: usize, random: &mut SmallRng) -> ShapeBuilder {
    const CPU: [i64; 10] = [100, 200, 250, 500, 500, 750, 1_000, 1_500, 2_000, 4_000];
    const MEBIBYTES_A_CPU: [i64; 6] = [1_024, 2_048, 2_048, 4_096, 6_144, 8_192];
    let cpu = CPU.choose(random).copied().unwrap_or(500);
    let ratio = MEBIBYTES_A_CPU.choose(random).copied().unwrap_or(2_048);
    let memory = (cpu * ratio / 1_000 / 64).max(1) * 64;
    shape(cpu, memory).label("app", &format!("app-{index}"))
}

fn small(index: usize, random: &mut SmallRng) -> ShapeBuilder {
    const CPU: [i64; 5] = [50, 100, 100, 150, 250];
    const MEBIBYTES_A_CPU: [i64; 4] = [1_024, 2_048, 2_048, 4_096];
    let cpu = CPU.choose(random).copied().unwrap_or(100);
    let ratio = MEBIBYTES_A_CPU.choose(random).copied().unwrap_or(2_048);
    shape(cpu, cpu * ratio / 1_000).label("app", &format!("app-{index}"))
}

fn constrained(index: usize, random: &mut SmallRng) -> Arc<PodShape> {
    let plain = service(index, random);
    let ruled = match random.random_range(0..20) {
        0..4 => plain.spread(well_known::ZONE_LABEL, 1),
        4..6 => plain.spread(well_known::HOSTNAME_LABEL, random.random_range(1..4)),
        6..8 => plain.alone_in(well_known::HOSTNAME_LABEL),
        8..11 => plain.node_selector(well_known::ARCH_LABEL, "amd64"),
        11..13 => plain.require(well_known::CAPACITY_TYPE_LABEL, Operator::In, &["on-demand"]),
        13 => {
            plain.spread(well_known::ZONE_LABEL, 1).node_selector(well_known::ARCH_LABEL, "amd64")
        }
        14 => plain.host_port(8_000 + u16::try_from(index).unwrap_or(0)),
        _ => plain,
    };
    ruled.build()
}

/// Log-normal amounts: median 500m with 2 GiB a CPU, at most 8 CPUs and 64 GiB.
fn heavy(index: usize, random: &mut SmallRng) -> Arc<PodShape> {
    let cpu = (500.0 * normal(random).exp()).clamp(20.0, 8_000.0);
    let ratio = (2_048.0 * (0.8 * normal(random)).exp()).clamp(256.0, 16_384.0);
    let memory = (cpu / 1_000.0 * ratio).clamp(16.0, 65_536.0);
    shape((cpu / 10.0) as i64 * 10, memory as i64).label("app", &format!("app-{index}")).build()
}

/// A standard normal variable (Box and Muller).
fn normal(random: &mut SmallRng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

fn karpenter(count: usize, random: &mut SmallRng) -> Vec<Pod> {
    const CPU: [i64; 5] = [100, 250, 500, 1_000, 1_500];
    const MEMORY: [i64; 6] = [100, 256, 512, 1_024, 2_048, 4_096];
    const LETTERS: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];
    let mut shapes: std::collections::BTreeMap<PodShape, Arc<PodShape>> = Default::default();
    let kinds: [fn(ShapeBuilder, &str, &str) -> ShapeBuilder; 5] = [
        |plain, letter, _| plain.label("my-label", letter),
        |plain, letter, other| lettered_spread(plain, letter, other, well_known::ZONE_LABEL),
        |plain, letter, other| lettered_spread(plain, letter, other, well_known::HOSTNAME_LABEL),
        |plain, letter, _| {
            plain
                .label("my-affinity", letter)
                .affinity(well_known::ZONE_LABEL, &[("my-affinity", letter)])
        },
        |plain, _, _| plain.label("app", "nginx").alone_in(well_known::HOSTNAME_LABEL),
    ];
    let mut made = Vec::with_capacity(count);
    for index in 0..count {
        let kind = if index < count / 5 * 5 { index / (count / 5).max(1) } else { 0 };
        let amount = |list: &[i64], random: &mut SmallRng| list.choose(random).copied();
        let cpu = amount(&CPU, random).unwrap_or(500);
        let memory = amount(&MEMORY, random).unwrap_or(512);
        // Label and selector are drawn apart: one spread in seven counts its own pods.
        let [letter, other] = [(); 2].map(|()| LETTERS.choose(random).copied().unwrap_or("a"));
        let built = kinds[kind.min(4)](shape(cpu, memory), letter, other).build();
        let shared = shapes.entry((*built).clone()).or_insert(built);
        made.push(super::pod(&format!("p{index}"), shared));
    }
    made
}

/// A pod with one letter for its label, spread with respect to pods that have another.
fn lettered_spread(plain: ShapeBuilder, letter: &str, other: &str, key: &str) -> ShapeBuilder {
    let selector = LabelSelector::match_labels(&labels(&[("my-label", other)]));
    plain.label("my-label", letter).spread_among(key, 1, selector)
}
