use foldhash::HashSet;

use super::Placer;
use crate::model::{NodeFigures, Snapshot};

/// The nodes that a question is about, in its order and each once: kube-scheduler would count a
/// name that comes back twice as two nodes.
#[derive(Clone, Debug)]
pub struct Candidates<'c, 's> {
    names: Vec<&'c str>,
    /// What is known of each.
    known: Vec<Option<Known<'s>>>,
    /// Which nodes of the snapshot they are, by number.
    numbers: Vec<bool>,
    /// Those that the snapshot does not have.
    strangers: HashSet<&'c str>,
}

/// What is known of a candidate that the snapshot has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'s> {
    /// As [`Snapshot::figures_of_node`] counts.
    pub(super) number: usize,
    pub(super) figures: &'s NodeFigures,
}

impl<'c, 's> Candidates<'c, 's> {
    /// These, as far as the snapshot knows them.
    pub fn of(snapshot: Option<&'s Snapshot>, names: impl Iterator<Item = &'c str>) -> Self {
        let expected = names.size_hint().0;
        let mut all = Self {
            names: Vec::with_capacity(expected),
            known: Vec::with_capacity(expected),
            numbers: vec![false; snapshot.map_or(0, Snapshot::numbers_of_nodes)],
            strangers: HashSet::default(),
        };
        for name in names {
            let figures = snapshot.and_then(|snapshot| snapshot.figures_of_node(name));
            let known = figures.map(|(number, figures)| Known { number, figures });
            let is_new = match &known {
                Some(known) => !std::mem::replace(&mut all.numbers[known.number], true),
                None => all.strangers.insert(name),
            };
            if is_new {
                all.names.push(name);
                all.known.push(known);
            }
        }
        all
    }

    /// Their names.
    pub fn names(&self) -> &[&'c str] {
        &self.names
    }

    /// How many they are.
    pub(super) const fn len(&self) -> usize {
        self.names.len()
    }

    /// Each of them, and what is known of it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'c str, Option<Known<'s>>)> {
        self.names.iter().copied().zip(self.known.iter().copied())
    }

    /// Whether a node is one of them.
    pub(super) fn contains(&self, snapshot: &Snapshot, name: &str) -> bool {
        match snapshot.figures_of_node(name) {
            Some((number, _)) => self.numbers.get(number).is_some_and(|named| *named),
            None => self.strangers.contains(name),
        }
    }
}

impl<'s> Placer<'s> {
    /// The nodes that a question is about.
    pub fn candidates<'c>(&self, names: impl IntoIterator<Item = &'c str>) -> Candidates<'c, 's> {
        Candidates::of(self.snapshot, names.into_iter())
    }
}
