//! How many nodes of one group the pending pods need: first fit, the largest first.
//!
//! Equal pods go in together and nodes that came out equal are kept as one run of them: the
//! result is that of taking pods and nodes one by one.

use crate::baselines::counters::Tally;
use crate::baselines::rules::{self, Part};
use crate::baselines::world::{Host, KindData, World};
use crate::packing::dimensions::{self, Amounts};

/// Pods of one group that may go to the same places.
#[derive(Clone, Debug)]
pub(super) struct Waiting<'k> {
    /// Whose they are.
    pub class: usize,
    /// What they are.
    pub kind: &'k KindData,
    /// How many.
    pub count: u32,
    /// Whether their shared domain is settled and counts them already.
    pub dealt: bool,
}

impl Waiting<'_> {
    /// Which counters learn of the pods only when they are placed.
    pub fn part(&self) -> Part {
        if self.dealt { Part::Hosts } else { Part::Both }
    }
}

/// Nodes with the same content.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// How many.
    pub nodes: u32,
    /// What is left on each.
    pub free: Amounts,
    /// What else limits each.
    pub host: Host,
    /// What is on each: class and how many.
    pub contents: Vec<(usize, u32)>,
}

/// A scale-up of one node group.
#[derive(Clone, Debug, Default)]
pub(super) struct Estimate {
    /// The nodes.
    pub runs: Vec<Run>,
    /// How many nodes.
    pub nodes: u32,
    /// How many pods they take.
    pub pods: u32,
    /// What those ask for: CPU in thousandths...
    pub cpu: i64,
    /// ...and memory in bytes.
    pub memory: i64,
}

/// Packs what waits onto at most `most` new nodes of one offering.
pub(super) fn estimate(
    world: &World<'_>,
    tally: &Tally,
    row: usize,
    mut waiting: Vec<Waiting<'_>>,
    most: u32,
) -> Estimate {
    let room = world.size(row);
    let share = |kind: &KindData| -> f64 {
        let part = |index: usize| kind.demand[index] as f64 / (room[index] as f64).max(1.0);
        part(0) + part(1)
    };
    waiting.sort_by(|left, right| {
        share(right.kind).total_cmp(&share(left.kind)).then_with(|| left.class.cmp(&right.class))
    });
    let empty = Run {
        nodes: 1,
        free: room.clone(),
        host: world.cells[world.rows[row].cell].host.clone(),
        contents: Vec::new(),
    };
    let counts = waiting.iter().any(|one| {
        !one.kind.rules.host.affinity.is_empty()
            || (!one.dealt && !one.kind.rules.shared.is_empty())
    });
    let mut packing = Packing {
        world,
        row,
        empty,
        most,
        tally: tally.clone(),
        counts,
        found: Estimate::default(),
    };
    waiting.iter().for_each(|one| packing.place(one));
    packing.found
}

struct Packing<'w, 'a> {
    world: &'w World<'a>,
    row: usize,
    empty: Run,
    most: u32,
    tally: Tally,
    /// Whether somebody goes by the tally.
    counts: bool,
    found: Estimate,
}

impl Packing<'_, '_> {
    fn place(&mut self, waiting: &Waiting<'_>) {
        let site = self.world.row_site(self.row);
        let kind = waiting.kind;
        let mut left = waiting.count;
        if !waiting.dealt {
            let possible = &self.world.possible;
            let room = rules::shared_room(self.world, &self.tally, kind, site.domains, possible);
            left = left.min(room.unwrap_or(0));
        }
        // Where pods must be with others on a host, the first one decides for the next.
        let one_by_one = !kind.rules.host.affinity.is_empty();
        let mut index = 0;
        while left > 0 {
            let is_new = index == self.found.runs.len();
            if is_new && self.found.nodes >= self.most {
                break;
            }
            let run = if is_new { &self.empty } else { &self.found.runs[index] };
            let each = self.room(kind, run);
            if each == 0 {
                if is_new {
                    break;
                }
                index += 1;
                continue;
            }
            let nodes = if is_new { self.most - self.found.nodes } else { run.nodes };
            let nodes = if one_by_one { 1 } else { nodes };
            let (nodes, each) =
                if left < each { (1, left) } else { (nodes.min(left / each), each) };
            self.split(index, nodes);
            let run = &mut self.found.runs[index];
            dimensions::take(&mut run.free, &kind.demand, each);
            rules::put_on_host(self.world, kind, &mut run.host, each);
            run.contents.push((waiting.class, each));
            let placed = nodes * each;
            left -= placed;
            index += 1;
            self.found.pods += placed;
            self.found.cpu += kind.demand[0].saturating_mul(i64::from(placed));
            self.found.memory += kind.demand[1].saturating_mul(i64::from(placed));
            if self.counts {
                let (tally, part) = (&mut self.tally, waiting.part());
                rules::count_in(self.world, tally, kind, site, part, placed);
            }
        }
    }

    fn room(&self, kind: &KindData, run: &Run) -> u32 {
        let room = dimensions::room(&kind.demand, &run.free);
        if room == 0 {
            return 0;
        }
        let host = rules::host_room(self.world, Some(&self.tally), kind, &run.host);
        room.min(host.unwrap_or(0))
    }

    /// Makes the run at `index` one of exactly `nodes`: new ones, or the first of those there.
    fn split(&mut self, index: usize, nodes: u32) {
        if index == self.found.runs.len() {
            self.found.runs.push(Run { nodes, ..self.empty.clone() });
            self.found.nodes += nodes;
        } else if self.found.runs[index].nodes > nodes {
            let first = Run { nodes, ..self.found.runs[index].clone() };
            self.found.runs[index].nodes -= nodes;
            self.found.runs.insert(index, first);
        }
    }
}
