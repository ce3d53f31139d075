//! How much of a node's free GPUs is of no use.
//!
//! A free GPU is of no use to pods that cannot have it: to those that ask for more of one device
//! than it has left, to all if the node has too little CPU or memory left for them, and to those
//! that ask for none. What is expected of the next pod is what pods ask for now: the kinds of pod
//! in the cluster and how often each is there. The fragmentation of a node is the mean, over
//! them, of the thousandths of its free GPUs that a pod has no use for.
//!
//! Source: Q. Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with
//! Fragmentation Gradient Descent", USENIX ATC 2023, section 4 (the measure, there of CPU and
//! GPUs alone, over the kinds that make up 95 % of the pods).

use crate::constraints::gpu_shares::{Ask, Devices};
use crate::model::Resources;

/// No more kinds are looked at, the most frequent ones: each costs time for every node.
const MOST_KINDS: usize = 256;

/// A kind of pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// What it asks of GPUs.
    pub ask: Ask,
    /// What it asks of CPU, in thousandths.
    pub cpu: i64,
    /// What it asks of memory, in bytes.
    pub memory: i64,
}

impl Kind {
    /// The kind of pods with these requests.
    pub fn of(requests: &Resources) -> Self {
        Self { ask: Ask::of(requests), cpu: requests.cpu.0, memory: requests.memory.0 }
    }
}

/// What a node has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// CPU, in thousandths.
    pub cpu: i64,
    /// Memory, in bytes.
    pub memory: i64,
    /// Its GPUs.
    pub devices: Devices,
}

impl Room {
    /// What it would have left with one more pod of a kind; `None` if that does not fit.
    pub fn with(&self, kind: &Kind) -> Option<Self> {
        let mut rest = self.clone();
        rest.cpu -= kind.cpu;
        rest.memory -= kind.memory;
        (rest.cpu >= 0 && rest.memory >= 0 && rest.devices.take(kind.ask)).then_some(rest)
    }
}

/// Kinds of pod, and how often each is expected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mix {
    /// By what they ask of GPUs.
    asks: Vec<(Ask, Vec<Member>)>,
}

/// A kind of a mix.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Member {
    /// Its index among the kinds that the mix was made of.
    index: usize,
    kind: Kind,
    /// Its share of all pods.
    share: f64,
}

impl Mix {
    /// The mix of these kinds, each with how often it is there.
    pub fn of(kinds: &[(Kind, u64)]) -> Self {
        let mut order: Vec<usize> = (0..kinds.len()).collect();
        order.sort_by_key(|index| (std::cmp::Reverse(kinds[*index].1), *index));
        order.truncate(MOST_KINDS);
        let counted: u64 = order.iter().map(|index| kinds[*index].1).sum();
        order.sort_by_key(|index| (kinds[*index].0.ask, *index));
        let mut mix = Self::default();
        for index in order {
            let (kind, count) = kinds[index];
            if mix.asks.last().is_none_or(|(ask, _)| *ask != kind.ask) {
                mix.asks.push((kind.ask, Vec::new()));
            }
            if let Some((_, members)) = mix.asks.last_mut() {
                members.push(Member { index, kind, share: count as f64 / counted as f64 });
            }
        }
        mix
    }

    /// How many thousandths of a node's free GPUs are of no use to the next pod, on average.
    /// `refused` tells of which kinds, by their index, the node takes none, whatever it has left.
    pub fn fragmentation(&self, room: &Room, refused: &impl Fn(usize) -> bool) -> f64 {
        let free = room.devices.free() as f64;
        if free <= 0.0 {
            return 0.0;
        }
        let useful: f64 = self
            .asks
            .iter()
            .map(|(ask, members)| {
                let usable = room.devices.usable(*ask) as f64;
                if usable <= 0.0 {
                    return 0.0;
                }
                let fit = members.iter().filter(|Member { index, kind, .. }| {
                    kind.cpu <= room.cpu && kind.memory <= room.memory && !refused(*index)
                });
                usable * fit.map(|member| member.share).sum::<f64>()
            })
            .sum();
        free - useful
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(milli: i64, cpu: i64) -> Kind {
        Kind { ask: Ask { whole: milli / 1_000, share: milli % 1_000 }, cpu, memory: 0 }
    }

    fn room(cpu: i64, free: i64, shares: &[i64]) -> Room {
        Room { cpu, memory: 0, devices: Devices::of(free, shares).unwrap() }
    }

    fn fragmentation(kinds: &[(Kind, u64)], room: &Room) -> f64 {
        Mix::of(kinds).fragmentation(room, &|_| false)
    }

    #[test]
    fn what_a_pod_cannot_use_is_fragmented() {
        // Two devices, of which one has 400 thousandths left.
        let has = room(4, 1_400, &[600]);
        let of = |milli, cpu| fragmentation(&[(kind(milli, cpu), 1)], &has);
        assert_eq!(of(400, 4), 0.0);
        assert_eq!(of(500, 4), 400.0, "the rest of the shared device");
        assert_eq!(of(1_000, 4), 400.0);
        assert_eq!(of(2_000, 4), 1_400.0, "too few devices");
        assert_eq!(of(400, 5), 1_400.0, "too little CPU");
        assert_eq!(of(0, 0), 1_400.0, "asks for none");
        let none = room(4, 0, &[]);
        assert_eq!(fragmentation(&[(kind(1_000, 1), 1)], &none), 0.0, "nothing is free");
    }

    #[test]
    fn kinds_count_by_how_often_they_are_there() {
        let has = room(4, 1_400, &[600]);
        let kinds = [(kind(400, 4), 3), (kind(1_000, 4), 1)];
        assert_eq!(fragmentation(&kinds, &has), 100.0);
        assert_eq!(Mix::of(&kinds).fragmentation(&has, &|index| index == 0), 1_150.0);
        let many: Vec<(Kind, u64)> = (0..300).map(|cpu| (kind(400, cpu), 1)).collect();
        let with_rare = [&[(kind(1_000, 4), 2)], &many[..]].concat();
        assert_eq!(
            Mix::of(&with_rare).asks.iter().map(|(_, kinds)| kinds.len()).sum::<usize>(),
            MOST_KINDS
        );
        assert_eq!(fragmentation(&[], &has), 1_400.0);
    }

    #[test]
    fn a_pod_takes_its_room() {
        let has = room(4, 2_000, &[]);
        assert_eq!(has.with(&kind(600, 3)), Some(room(1, 1_400, &[600])));
        assert_eq!(has.with(&kind(600, 5)), None);
        assert_eq!(has.with(&kind(2_001, 0)), None);
    }
}
