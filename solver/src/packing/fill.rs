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

/// Fills a candidate with what waits, sorted by falling value.
pub fn fill(
    state: &State<'_, '_>,
    classes: &[Class],
    waiting: &[Waiting],
    candidate: usize,
) -> Pattern {
    let problem = state.problem;
    let data = &problem.candidates[candidate];
    let cell = &problem.cells[data.cell];
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
    let compatible = |waiting: &Waiting| {
        let class = &classes[waiting.class];
        cell.allowed[class.signature] && class.goes_to(cell.tuple)
    };
    let is_heavy = |waiting: &Waiting| {
        let demand = &problem.groups[classes[waiting.class].group].demand;
        share(demand[0], data.room[0]) > share(demand[1], data.room[1])
    };
    let usable = (0..waiting.len()).filter(|index| compatible(&waiting[*index]));
    let (heavy, light): (Vec<usize>, Vec<usize>) =
        usable.partition(|index| is_heavy(&waiting[*index]));
    let (mut heavy, mut light) = (heavy.as_slice(), light.as_slice());
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
