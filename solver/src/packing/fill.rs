//! What to put on one new node: large pods first, CPU and memory kept filling in proportion.

use super::bins::{Load, Tally};
use super::problem::Problem;
use super::state::{Class, State};

/// A class that waits for new nodes.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// Its index among the classes.
    pub class: usize,
    /// What one pod is worth, by the dual values.
    pub value: f64,
    /// How many wait.
    pub count: u32,
}

/// Classes that wait for new nodes, those that are worth most first.
#[derive(Debug)]
pub struct Line {
    waiting: Vec<Waiting>,
    /// By cell, as far as somebody asked: which of them may go to its nodes.
    usable: Vec<Option<Vec<usize>>>,
    /// How many have no pods left.
    done: usize,
}

impl Line {
    /// These, in that order, before anybody asked which may go where.
    pub fn new(waiting: Vec<Waiting>, cells: usize) -> Self {
        Self { waiting, usable: vec![None; cells], done: 0 }
    }

    /// Whether none has pods left.
    pub fn is_empty(&self) -> bool {
        self.done == self.waiting.len()
    }

    /// One of them.
    pub fn get(&self, index: usize) -> &Waiting {
        &self.waiting[index]
    }

    /// Takes pods out of the line.
    pub fn take(&mut self, index: usize, count: u32) {
        let waiting = &mut self.waiting[index];
        waiting.count -= count;
        self.done += usize::from(waiting.count == 0);
    }

    /// Forgets those that have no pods left, once they are most.
    pub fn shorten(&mut self) {
        if self.done * 2 > self.waiting.len() {
            self.waiting.retain(|waiting| waiting.count > 0);
            self.usable.fill(None);
            self.done = 0;
        }
    }

    /// All, and which of them may go to nodes of a cell.
    fn for_cell(
        &mut self,
        problem: &Problem<'_>,
        classes: &[Class],
        cell: usize,
    ) -> (&[Waiting], &[usize]) {
        let data = &problem.cells[cell];
        let waiting = &self.waiting;
        let usable = self.usable[cell].get_or_insert_with(|| {
            let fits = |index: &usize| {
                let class = &classes[waiting[*index].class];
                data.allowed[class.signature] && class.goes_to(data.tuple)
            };
            (0..waiting.len()).filter(fits).collect()
        });
        (waiting, usable)
    }
}

/// One way to fill a candidate.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// The candidate.
    pub candidate: usize,
    /// Index among the waiting and how many.
    pub counts: Vec<(usize, u32)>,
    /// The node with them on it.
    pub load: Load,
    /// Value for money: what its content is worth, divided by what it costs.
    pub efficiency: f64,
}

/// Fills a candidate with what waits.
pub fn fill(
    state: &State<'_, '_>,
    classes: &[Class],
    line: &mut Line,
    candidate: usize,
) -> Pattern {
    let problem = state.problem;
    let data = &problem.candidates[candidate];
    let (waiting, usable) = line.for_cell(problem, classes, data.cell);
    let is_heavy = |index: &usize| {
        let demand = &problem.groups[classes[waiting[*index].class].group].demand;
        share(demand[0], data.room[0]) > share(demand[1], data.room[1])
    };
    let (heavy, light): (Vec<usize>, Vec<usize>) = usable.iter().copied().partition(is_heavy);
    let (mut heavy, mut light) = (heavy.as_slice(), light.as_slice());
    let load = state.empty_load(candidate);
    let mut filling = Filling {
        problem,
        classes,
        waiting,
        tally: Tally::of(&load, &problem.topology),
        load,
        taken: vec![0; waiting.len()],
        value: 0.0,
    };
    loop {
        heavy = filling.left_of(heavy);
        light = filling.left_of(light);
        let free = &filling.load.free;
        let more_cpu_left = share(free[0], data.room[0]) >= share(free[1], data.room[1]);
        let next = match (heavy.first(), light.first()) {
            (None, None) => break,
            (Some(one), None) | (None, Some(one)) => *one,
            (Some(heavy), Some(light)) => *if more_cpu_left { heavy } else { light },
        };
        filling.put(next);
    }
    Pattern {
        candidate,
        efficiency: filling.value / data.cost,
        counts: filling.taken.into_iter().enumerate().filter(|(_, count)| *count > 0).collect(),
        load: filling.load,
    }
}

fn share(part: i64, whole: i64) -> f64 {
    if whole > 0 { part as f64 / whole as f64 } else { 0.0 }
}

struct Filling<'w, 'a> {
    problem: &'w Problem<'a>,
    classes: &'w [Class],
    waiting: &'w [Waiting],
    load: Load,
    tally: Tally,
    /// How many of each that waits.
    taken: Vec<u32>,
    value: f64,
}

impl Filling<'_, '_> {
    /// What is left of a list, from the first on that fits; what does not fit now never will.
    fn left_of<'l>(&self, list: &'l [usize]) -> &'l [usize] {
        let skipped = list.iter().take_while(|index| !self.fits(**index)).count();
        &list[skipped..]
    }

    fn fits(&self, index: usize) -> bool {
        let waiting = &self.waiting[index];
        if self.taken[index] >= waiting.count {
            return false;
        }
        self.load.takes(self.problem, self.classes[waiting.class].group, &self.tally)
    }

    fn put(&mut self, index: usize) {
        let waiting = &self.waiting[index];
        let group = self.classes[waiting.class].group;
        self.load.put(self.problem, group, 1);
        self.tally.put(&self.problem.topology, group, 1);
        self.value += waiting.value;
        self.taken[index] += 1;
    }
}
