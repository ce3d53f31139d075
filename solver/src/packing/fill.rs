//! What to put on one new node: large pods first, CPU and memory kept filling in proportion.

use super::bins::Load;
use super::dimensions;
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
    let mut filling = Filling {
        problem,
        classes,
        waiting,
        load: state.empty_load(candidate),
        counts: Vec::new(),
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
    let (mut heavy, mut light) = (0, 0);
    loop {
        let advance = |mut at: usize, wants_heavy: bool, filling: &Filling<'_, '_>| {
            while let Some(next) = waiting.get(at) {
                if compatible(next) && is_heavy(next) == wants_heavy && filling.fits(at) {
                    break;
                }
                at += 1;
            }
            at
        };
        heavy = advance(heavy, true, &filling);
        light = advance(light, false, &filling);
        let free = &filling.load.free;
        let more_cpu_left = share(free[0], data.room[0]) >= share(free[1], data.room[1]);
        let next = match (heavy < waiting.len(), light < waiting.len()) {
            (false, false) => break,
            (true, false) => heavy,
            (false, true) => light,
            (true, true) if more_cpu_left => heavy,
            (true, true) => light,
        };
        filling.put(next);
    }
    Pattern {
        candidate,
        efficiency: filling.value / data.cost,
        counts: filling.counts,
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
    counts: Vec<(usize, u32)>,
    value: f64,
}

impl Filling<'_, '_> {
    fn fits(&self, index: usize) -> bool {
        let waiting = &self.waiting[index];
        let taken =
            self.counts.iter().find(|(other, _)| *other == index).map_or(0, |(_, count)| *count);
        if taken >= waiting.count {
            return false;
        }
        let group = self.classes[waiting.class].group;
        let data = &self.problem.groups[group];
        if data.plain {
            dimensions::room(&data.demand, &self.load.free) > 0
        } else {
            self.load.room(self.problem, group) > 0
        }
    }

    fn put(&mut self, index: usize) {
        let waiting = &self.waiting[index];
        self.load.put(self.problem, self.classes[waiting.class].group, 1);
        self.value += waiting.value;
        match self.counts.iter_mut().find(|(other, _)| *other == index) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((index, 1)),
        }
    }
}
