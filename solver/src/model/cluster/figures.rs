use std::sync::Arc;

use imbl::Vector;
use string_interner::{DefaultSymbol, StringInterner, Symbol as _, backend::StringBackend};

use super::NodeState;
use crate::model::{Name, NodeClaim, Price, Resources};

/// What scoring wants to know of each node, by name. Kept up to date with every event, so that a
/// question about thousands of nodes walks over none of their objects.
///
/// All of it stands in a few pieces of memory, which changes copy: between two questions others use
/// the processor, and to fetch a name and a number from somewhere else for each node took most of
/// an answer's time.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// Each node's number: where its figures are. Names of nodes that are gone keep theirs for a
    /// while.
    numbers: Arc<StringInterner<StringBackend>>,
    list: Arc<Vec<Option<NodeFigures>>>,
    /// The nodes themselves, by their numbers: a question looks some hundreds of them up, and by
    /// their names each takes a dozen comparisons all over the memory.
    states: Vector<Option<Arc<NodeState>>>,
    /// How many of them are there.
    count: usize,
}

/// So many names more than nodes are kept, before numbers are given anew.
const GONE: usize = 1_000;

impl Figures {
    pub(super) fn get(&self, name: &str) -> Option<(usize, &NodeFigures)> {
        let number = self.numbers.get(name)?.to_usize();
        Some((number, self.list.get(number)?.as_ref()?))
    }

    /// All numbers are below.
    pub(super) fn numbers(&self) -> usize {
        self.list.len()
    }

    /// The node of a number.
    pub(super) fn state(&self, number: usize) -> Option<&Arc<NodeState>> {
        self.states.get(number)?.as_ref()
    }

    pub(super) fn insert(&mut self, state: &Arc<NodeState>, figures: NodeFigures) {
        let name = &*state.node.name;
        let number = match self.numbers.get(name) {
            Some(number) => number.to_usize(),
            None => Arc::make_mut(&mut self.numbers).get_or_intern(name).to_usize(),
        };
        let list = Arc::make_mut(&mut self.list);
        if list.len() <= number {
            list.resize(number + 1, None);
        }
        while self.states.len() <= number {
            self.states.push_back(None);
        }
        self.states[number] = Some(Arc::clone(state));
        self.count += usize::from(list[number].replace(figures).is_none());
    }

    /// Lets go of a node that is about to change, which would have to be copied otherwise. It must
    /// be inserted anew.
    pub(super) fn let_go(&mut self, name: &str) {
        if let Some((number, _)) = self.get(name) {
            self.states[number] = None;
        }
    }

    pub(super) fn remove(&mut self, name: &Name) {
        let Some((number, _)) = self.get(name) else { return };
        Arc::make_mut(&mut self.list)[number] = None;
        self.states[number] = None;
        self.count -= 1;
        if self.list.len() > 2 * self.count + GONE {
            let known = self.list.iter().zip(&self.states);
            let known = known.filter_map(|(figures, state)| figures.zip(state.as_ref()));
            *self = known.fold(Self::default(), |mut all, (figures, state)| {
                all.insert(state, figures);
                all
            });
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &NodeFigures)> {
        let figures = |symbol: DefaultSymbol| self.list.get(symbol.to_usize())?.as_ref();
        self.numbers.iter().filter_map(move |(symbol, name)| Some((name, figures(symbol)?)))
    }
}

/// Numbers tell nodes apart, and nothing else of them.
impl PartialEq for Figures {
    fn eq(&self, other: &Self) -> bool {
        let same = |(name, figures)| other.get(name).is_some_and(|(_, others)| others == figures);
        self.count == other.count && self.iter().all(same)
    }
}

/// What scoring wants to know of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeFigures {
    /// Whether it is in a NodePool.
    pub is_managed: bool,
    /// The larger used share of its CPU and memory, in thousandths, 1,000 at most.
    pub fullness: u16,
    /// What a core of it costs in an hour, in billionths; `None` if nobody knows. Only the price
    /// of a claim of the node's own name counts.
    pub rate: Option<u64>,
}

impl NodeFigures {
    pub(super) fn of(state: &NodeState, claim: Option<&NodeClaim>) -> Self {
        let is_managed = state.node.pool().is_some();
        let price = claim.and_then(|claim| claim.price);
        Self::new(is_managed, &state.used, &state.node.allocatable, price)
    }

    /// What pods take of what they can have, and what the node costs in an hour, if that is known.
    pub fn new(is_managed: bool, used: &Resources, all: &Resources, price: Option<Price>) -> Self {
        let fullness =
            thousandths(used.cpu.0, all.cpu.0).max(thousandths(used.memory.0, all.memory.0));
        let rate = price.filter(|_| is_managed).and_then(|price| {
            let cpu = u64::try_from(all.cpu.0).ok().filter(|cpu| *cpu > 0)?;
            let rate = match price.as_nanos().checked_mul(1_000) {
                Some(thousands) => thousands / cpu,
                None => (price.as_nanos() / cpu).saturating_mul(1_000),
            };
            Some(rate)
        });
        Self { is_managed, fullness, rate }
    }
}

fn thousandths(used: i64, of: i64) -> u16 {
    if of <= 0 {
        return 0;
    }
    let share = match used.checked_mul(1_000) {
        Some(thousands) => thousands / of,
        None => i64::try_from(i128::from(used) * 1_000 / i128::from(of)).unwrap_or(i64::MAX),
    };
    u16::try_from(share.clamp(0, 1_000)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::node;

    #[test]
    fn nodes_that_come_and_go_leave_nothing_behind() {
        let figures = |fullness| NodeFigures { is_managed: true, fullness, rate: None };
        let name = |index: usize| Name::from(format!("node-{index}"));
        let state = |name: &str| {
            let node = Arc::new(node(name, 1_000, 1_024));
            Arc::new(NodeState { node, pods: BTreeMap::new(), used: Resources::default() })
        };
        let mut all = Figures::default();
        for index in 0..5 * GONE {
            all.insert(&state(&name(index)), figures(1));
            all.insert(&state(&name(index)), figures(2));
            if index >= 10 {
                all.remove(&name(index - 10));
                all.remove(&name(index - 10));
            }
        }
        assert!(all.numbers() <= GONE + 20, "{}", all.numbers());
        let left: Vec<Name> = all.iter().map(|(name, _)| name.into()).collect();
        assert_eq!(left, (5 * GONE - 10..5 * GONE).map(name).collect::<Vec<_>>());
        for name in &left {
            let (number, _) = all.get(name).unwrap();
            assert_eq!(all.state(number).unwrap().node.name, *name);
        }
        let anew = left.iter().rev().fold(Figures::default(), |mut anew, name| {
            anew.insert(&state(name), figures(2));
            anew
        });
        assert_eq!(all, anew);
        all.insert(&state(&left[0]), figures(3));
        assert_ne!(all, anew);
    }
}
