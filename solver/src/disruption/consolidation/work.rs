//! A round in the making: which nodes go, and where their pods go instead.
//!
//! Only pods of nodes that go are moved. A pod whose place others count in a shared domain (a
//! zone, say) stays in its domain, so that whatever held between domains still holds; where its
//! spread does not hold any more, it goes to another ([`relocation`]).

use foldhash::HashMap;

use super::lift::Lifted;
use super::relocation::{self, Relocation};
use crate::constraints::pool_limits::Usage;
use crate::model::{Name, Target};
use crate::packing::bins::{Load, Place};
use crate::packing::dimensions::{fits, give};
use crate::packing::problem::Problem;
use crate::packing::state::State;
use crate::packing::topology::Key;

/// Pods that may go to the same places: their group, the combination of domains that they stay in
/// if they must, and whether their preferences are kept.
pub type Kind = (usize, Option<usize>, bool);

/// What does not change while a round is worked out.
#[derive(Debug)]
pub struct Ground<'p, 'a> {
    /// The problem.
    pub problem: &'p Problem<'a>,
    /// The state with all pods where they are.
    pub start: State<'p, 'a>,
    /// For each candidate, its bin.
    pub bin_of: Vec<usize>,
    /// For each candidate, its pods by kind, in the order of kinds.
    pub contents: Vec<Vec<(Kind, u32)>>,
    /// For each candidate, its pods' kinds, pod by pod.
    pub kinds: Vec<Vec<Kind>>,
    /// For each bin, the candidate.
    pub candidate_of: Vec<Option<usize>>,
    /// Whether a bin takes pods that move.
    pub takes: Vec<bool>,
    /// For each group, whether its pods stay in their domains.
    pub stays: Vec<bool>,
    /// For each group, where its pods may go instead if their domain is too full.
    pub destinations: Vec<Vec<usize>>,
    /// For each candidate, whether it stays whatever it costs: room on it is kept, or a pod on it
    /// must be where another is.
    pub pinned: Vec<bool>,
}

impl<'p, 'a> Ground<'p, 'a> {
    /// Puts all lifted pods back to where they are, and promised ones to where they will be.
    pub fn new(problem: &'p Problem<'a>, lifted: &Lifted<'_>) -> Self {
        let (mut by_node, mut by_claim) = (HashMap::default(), HashMap::default());
        for (index, bin) in problem.bins.iter().enumerate() {
            match &bin.place {
                Place::Node(name) => by_node.insert(name, index),
                Place::Claim(name) => by_claim.insert(name, index),
            };
        }
        let mut start = State::new(problem);
        let bin_at = |node: &Name| by_node.get(node).copied().unwrap_or(usize::MAX);
        let bin_of: Vec<usize> =
            lifted.candidates.iter().map(|one| bin_at(&one.state.node.name)).collect();
        let stays: Vec<bool> =
            (0..problem.groups.len()).map(|group| depended_on(problem, group)).collect();
        let mut candidate_of = vec![None; problem.bins.len()];
        let (mut contents, mut kinds) = (Vec::new(), Vec::new());
        for (candidate, bin) in bin_of.iter().enumerate() {
            let kind = |group: &usize| {
                let tuple = stays[*group].then(|| problem.bins[*bin].tuple);
                let preferred = problem.groups[*group].signature;
                (*group, tuple, problem.bin_allowed[preferred][*bin])
            };
            let mine: Vec<Kind> = lifted.groups[candidate].iter().map(kind).collect();
            let mut counts: Vec<(Kind, u32)> = Vec::new();
            mine.iter().for_each(|kind| add_in_order(&mut counts, *kind, 1));
            for (kind, count) in &counts {
                start.loads[*bin].put(problem, kind.0, *count);
                relocation::count(&mut start, kind.0, *bin, *count);
            }
            candidate_of[*bin] = Some(candidate);
            contents.push(counts);
            kinds.push(mine);
        }
        for (group, _, target) in &lifted.promised {
            let bin = match target {
                Target::Node(name) => by_node.get(name),
                Target::Claim(name) => by_claim.get(name).or_else(|| {
                    let claim = problem.snapshot.claims.get(name)?;
                    by_node.get(&problem.snapshot.node_of_claim(claim)?.node.name)
                }),
            };
            if let Some(bin) = bin {
                start.loads[*bin].put(problem, *group, 1);
            }
        }
        let takes = problem.bins.iter().map(|bin| bin.open && matches!(bin.place, Place::Node(_)));
        let takes: Vec<bool> = takes.collect();
        let mut ground = Self {
            problem,
            start,
            contents,
            kinds,
            candidate_of,
            destinations: relocation::destinations(problem, &takes),
            takes,
            stays,
            pinned: vec![false; bin_of.len()],
            bin_of,
        };
        ground.keep_headroom(lifted);
        ground
    }

    /// Puts the room to keep where there is room, as if it were taken.
    fn keep_headroom(&mut self, lifted: &Lifted<'_>) {
        let first = lifted.all_groups().len()
            - crate::packing::headroom::groups(self.problem.snapshot).len();
        for group in first..lifted.all_groups().len() {
            let mut left = u32::try_from(lifted.all_groups()[group].pods.len()).unwrap_or(u32::MAX);
            // Nodes that stay anyway first.
            for candidates in [false, true] {
                for bin in 0..self.takes.len() {
                    let fits = self.takes[bin]
                        && self.candidate_of[bin].is_some() == candidates
                        && self.problem.bin_allowed[self.problem.groups[group].relaxed][bin];
                    if fits && left > 0 {
                        let room = self.start.loads[bin].room(self.problem, group).min(left);
                        if room == 0 {
                            continue;
                        }
                        self.start.loads[bin].put(self.problem, group, room);
                        left -= room;
                        if let Some(candidate) = self.candidate_of[bin] {
                            self.pinned[candidate] = true;
                        }
                    }
                }
            }
        }
    }

    /// Whether a bin may take pods of a kind, room aside.
    pub fn suits(&self, kind: Kind, bin: usize) -> bool {
        let (group, tuple, preferring) = kind;
        let data = &self.problem.groups[group];
        let at = &self.problem.bins[bin];
        self.takes[bin]
            && tuple.is_none_or(|tuple| tuple == at.tuple)
            && self.problem.bin_allowed[if preferring { data.signature } else { data.relaxed }][bin]
            && (at.has_host || self.problem.topology.host_rules[group].spread.is_empty())
    }
}

/// Whether somebody goes by how many pods of the group are in a shared domain.
fn depended_on(problem: &Problem<'_>, group: usize) -> bool {
    let topology = &problem.topology;
    !topology.domain_rules[group].is_empty()
        || topology.counted_by[group]
            .iter()
            .any(|counter| matches!(topology.counters[*counter].key, Key::Label(_)))
}

/// A round in the making.
#[derive(Clone, Debug)]
pub struct Work<'p, 'a> {
    /// Loads of nodes, and new nodes.
    pub state: State<'p, 'a>,
    /// Which candidates go.
    pub removed: Vec<bool>,
    /// What is on each bin, by kind, that came from elsewhere.
    pub received: Vec<Vec<(Kind, u32)>>,
    /// Pods that left their domains, in their order.
    pub relocated: Vec<Relocation>,
    /// Bins in the order in which they are filled.
    order: Vec<usize>,
    /// For each bin, its place in that order; at the end if it has none.
    places: Vec<usize>,
    /// For each kind, the bins before this place in the order have no room for it.
    cursors: HashMap<Kind, usize>,
}

/// A candidate that went.
#[derive(Debug)]
struct Gone {
    candidate: usize,
    /// What was on its node, and what of that came from elsewhere.
    load: Load,
    received: Vec<(Kind, u32)>,
}

/// What a change did, so that it can be taken back.
#[derive(Debug)]
pub struct Journal {
    /// What came to which bin.
    put: Vec<(usize, Kind, u32)>,
    /// Where cursors stood; a change puts each kind once.
    cursors: Vec<(Kind, usize)>,
    /// Candidates that went.
    gone: Vec<Gone>,
    /// How many pods had left their domains.
    relocated: usize,
    /// How many new nodes there were, and what pools held with them.
    launched: usize,
    usage: Vec<Usage>,
}

impl<'p, 'a> Work<'p, 'a> {
    /// Nothing moved yet; bins are filled in that order.
    pub fn new(ground: &Ground<'p, 'a>, order: Vec<usize>) -> Self {
        let mut places = vec![order.len(); ground.problem.bins.len()];
        order.iter().enumerate().for_each(|(place, bin)| places[*bin] = place);
        Self {
            state: ground.start.clone(),
            removed: vec![false; ground.bin_of.len()],
            received: vec![Vec::new(); ground.problem.bins.len()],
            relocated: Vec::new(),
            order,
            places,
            cursors: HashMap::default(),
        }
    }

    /// Empties a candidate's node onto others, all of it or not at all.
    pub fn empty(&mut self, ground: &Ground<'p, 'a>, candidate: usize) -> bool {
        let mut journal = self.begin();
        let mut all = Vec::new();
        self.take_off(ground, candidate, &mut all);
        self.clear(ground, candidate, &mut journal);
        sort_large_first(ground, &mut all);
        let fits =
            all.iter().all(|(kind, count)| self.put(ground, *kind, *count, &mut journal) == 0);
        if !fits {
            self.take_back(ground, journal);
        }
        fits
    }

    /// Empties nodes as far as others have room, and returns what has no place. What this did, and
    /// nodes that are launched after it, can be taken back until something else is done.
    pub fn drain(
        &mut self,
        ground: &Ground<'p, 'a>,
        candidates: &[usize],
    ) -> (Vec<(Kind, u32)>, Journal) {
        let mut journal = self.begin();
        let mut all = Vec::new();
        for candidate in candidates {
            self.take_off(ground, *candidate, &mut all);
            self.clear(ground, *candidate, &mut journal);
        }
        sort_large_first(ground, &mut all);
        let left = all.into_iter();
        let left = left.map(|(kind, count)| (kind, self.put(ground, kind, count, &mut journal)));
        let left = left.filter(|(_, left)| *left > 0).collect();
        (left, journal)
    }

    /// A change that begins now.
    fn begin(&self) -> Journal {
        Journal {
            put: Vec::new(),
            cursors: Vec::new(),
            gone: Vec::new(),
            relocated: self.relocated.len(),
            launched: self.state.nodes.len(),
            usage: self.state.usage.clone(),
        }
    }

    /// What has to leave a node: its own pods, and those that were to come from others.
    pub fn leaving(&self, ground: &Ground<'p, 'a>, candidate: usize) -> Vec<(Kind, u32)> {
        let mut all = ground.contents[candidate].clone();
        for (kind, count) in &self.received[ground.bin_of[candidate]] {
            add_in_order(&mut all, *kind, *count);
        }
        all
    }

    /// Adds what has to leave a node to `all`, with the domains that it goes to.
    fn take_off(&mut self, ground: &Ground<'p, 'a>, candidate: usize, all: &mut Vec<(Kind, u32)>) {
        for (kind, count) in self.leaving(ground, candidate) {
            let (group, tuple, preferring) = kind;
            let destinations = &ground.destinations[group];
            match tuple {
                Some(from) if !destinations.is_empty() => {
                    for _ in 0..count {
                        let to = relocation::relocate(&mut self.state, destinations, group, from);
                        if to != from {
                            self.relocated.push(Relocation { group, from, to });
                        }
                        add_in_order(all, (group, Some(to), preferring), 1);
                    }
                }
                _ => add_in_order(all, kind, count),
            }
        }
    }

    /// Takes a candidate's node away with all that is on it.
    fn clear(&mut self, ground: &Ground<'p, 'a>, candidate: usize, journal: &mut Journal) {
        let bin = ground.bin_of[candidate];
        self.removed[candidate] = true;
        let load = self.state.loads[bin].clone();
        let received = std::mem::take(&mut self.received[bin]);
        journal.gone.push(Gone { candidate, load, received });
        let contents = std::mem::take(&mut self.state.loads[bin].contents);
        for (group, count) in contents {
            let demand = &ground.problem.groups[group].demand;
            give(&mut self.state.loads[bin].free, demand, count);
        }
    }

    /// Puts pods of a kind on bins; returns how many have no place.
    fn put(
        &mut self,
        ground: &Ground<'p, 'a>,
        kind: Kind,
        mut count: u32,
        journal: &mut Journal,
    ) -> u32 {
        let demand = &ground.problem.groups[kind.0].demand;
        let start = self.cursors.get(&kind).copied().unwrap_or(0);
        let mut at = start;
        while count > 0 && at < self.order.len() {
            let bin = self.order[at];
            let load = &self.state.loads[bin];
            let goes = || {
                let candidate = ground.candidate_of[bin];
                candidate.is_some_and(|candidate| self.removed[candidate])
            };
            // Most bins are full: that is asked first.
            let room = if fits(demand, &load.free) && !goes() && ground.suits(kind, bin) {
                load.room(ground.problem, kind.0).min(count)
            } else {
                0
            };
            if room > 0 {
                self.state.loads[bin].put(ground.problem, kind.0, room);
                add(&mut self.received[bin], kind, room);
                journal.put.push((bin, kind, room));
                count -= room;
            }
            if count > 0 {
                at += 1;
            }
        }
        if at != start {
            journal.cursors.push((kind, start));
            self.cursors.insert(kind, at);
        }
        count
    }

    /// Takes a change back, nodes launched since it began included.
    pub fn take_back(&mut self, ground: &Ground<'p, 'a>, journal: Journal) {
        // What cursors have gone past has no room still, before the first bin that gets some back.
        let filled = journal.put.iter().map(|(bin, ..)| *bin);
        let back = journal.gone.iter().map(|gone| ground.bin_of[gone.candidate]);
        let first = filled.chain(back).map(|bin| self.places[bin]).min().unwrap_or(usize::MAX);
        for (bin, kind, count) in journal.put.into_iter().rev() {
            self.state.loads[bin].remove(ground.problem, kind.0, count);
            if let Some(there) = self.received[bin].iter_mut().find(|there| there.0 == kind) {
                there.1 -= count;
            }
            self.received[bin].retain(|(_, count)| *count > 0);
        }
        for (kind, before) in journal.cursors {
            if let Some(cursor) = self.cursors.get_mut(&kind) {
                *cursor = first.min(*cursor).max(before);
            }
        }
        for Gone { candidate, load, received } in journal.gone {
            let bin = ground.bin_of[candidate];
            self.removed[candidate] = false;
            self.state.loads[bin] = load;
            self.received[bin] = received;
        }
        while self.relocated.len() > journal.relocated
            && let Some(relocated) = self.relocated.pop()
        {
            relocation::undo(&mut self.state, relocated);
        }
        self.state.nodes.truncate(journal.launched);
        self.state.usage = journal.usage;
    }
}

fn add(list: &mut Vec<(Kind, u32)>, kind: Kind, count: u32) {
    match list.iter_mut().find(|there| there.0 == kind) {
        Some(there) => there.1 += count,
        None => list.push((kind, count)),
    }
}

/// Adds to a list that is in the order of kinds.
fn add_in_order(list: &mut Vec<(Kind, u32)>, kind: Kind, count: u32) {
    match list.binary_search_by_key(&kind, |(other, _)| *other) {
        Ok(at) => list[at].1 += count,
        Err(at) => list.insert(at, (kind, count)),
    }
}

/// What takes much of a node's CPU or memory is hard to place: it comes first.
fn sort_large_first(ground: &Ground<'_, '_>, all: &mut [(Kind, u32)]) {
    let size = |kind: &Kind| {
        let demand = &ground.problem.groups[kind.0].demand;
        // A gibibyte counts as much as a quarter of a core, about as machines come.
        demand[0] + demand[1] / (4 << 20)
    };
    all.sort_by(|left, right| size(&right.0).cmp(&size(&left.0)).then(left.0.cmp(&right.0)));
}
