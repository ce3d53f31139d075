//! Whole nodes from a solution in which nodes are cut up, part after part.
//!
//! What is whole in the solution of the master problem is launched. For the pods that are left the
//! problem is solved anew, with the columns that are known, and so on ("diving" with column
//! generation: Sadykov and others, 2019). That loses much less than packing what is left by values:
//! columns are made for just these pods.

use super::Stop;
use super::columns::{Generation, Item, Machine, Model};
use super::master::Column;
use super::repack::Repack;
use super::rounding;
use super::state::{NewNode, State};

/// Columns that cost no more than that share beyond what they hold is worth are kept for later parts.
const KEPT: f64 = 0.01;
/// Rounds of column generation for one part. None where what is left costs no more than it did.
const ROUNDS: u32 = 6;
/// A rise of the price by less than this share is rounding.
const EPSILON: f64 = 1e-5;
/// Where nothing is whole, the largest parts of nodes are launched, up to that share of the price.
const AT_ONCE: f64 = 0.1;

/// So many nodes of each column.
type Chosen = Vec<(Column, u32)>;

/// Whole nodes for a solution of the master problem that has a row for each item, the state's fixed
/// nodes before them. `None` where that takes longer than `until`.
pub fn dive(
    state: &State<'_, '_>,
    repack: &Repack,
    model: &Model,
    generation: &Generation<'_>,
    until: f64,
    stop: &dyn Stop,
) -> Option<Vec<NewNode>> {
    let mut stopped = || stop.spent() >= until;
    let mut packing = repack.packing(state);
    let mut least = packing.cost() + generation.master.cost();
    let mut known: Vec<Column> = generation.master.near(KEPT).cloned().collect();
    let mut chosen = choose(generation);
    loop {
        for (column, count) in &chosen {
            for _ in 0..*count {
                if stopped() {
                    return None;
                }
                if !packing.launch(column.candidate, &column.counts) {
                    break;
                }
            }
        }
        if packing.waiting().iter().all(|count| *count == 0) {
            return Some(packing.downsized(&mut stopped));
        }
        let left = Left::of(model, packing.waiting());
        let begun = known.iter().filter_map(|column| left.column(column)).collect();
        let mut generation = Generation::begin(&left.model, begun, &mut stopped)?;
        generation.master.optimise(&mut stopped);
        if packing.cost() + generation.master.cost() > least * (1.0 + EPSILON) {
            generation.run(ROUNDS, until, stop);
        }
        least = least.max(packing.cost() + generation.master.cost());
        known.extend(generation.master.near(KEPT).map(|column| left.back(column)));
        known.sort_unstable_by(Column::cmp_content);
        known.dedup();
        chosen = choose(&generation);
        chosen.iter_mut().for_each(|(column, _)| *column = left.back(column));
        if chosen.is_empty() {
            return None;
        }
    }
}

/// The whole nodes of a solution, or what is nearest to it.
fn choose(generation: &Generation<'_>) -> Chosen {
    let (whole, _) = rounding::whole(generation);
    if !whole.is_empty() {
        return whole.into_iter().map(|(column, count)| (column.clone(), count)).collect();
    }
    let mut parts: Vec<(&Column, f64)> = generation.master.solution().collect();
    parts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let most = AT_ONCE * generation.master.cost();
    let mut cost = 0.0;
    let within = |(rank, (column, _)): &(usize, &(&Column, f64))| {
        cost += column.cost;
        *rank == 0 || cost <= most
    };
    let largest = parts.iter().enumerate().take_while(within);
    largest.map(|(_, (column, _))| ((*column).clone(), 1)).collect()
}

/// What of a model's items is left.
struct Left {
    model: Model,
    /// The items, by their indices in the whole model.
    items: Vec<usize>,
}

impl Left {
    /// So many of each item.
    fn of(model: &Model, waiting: &[u32]) -> Self {
        let items: Vec<usize> = (0..waiting.len()).filter(|item| waiting[*item] > 0).collect();
        let mut place = vec![None; waiting.len()];
        items.iter().enumerate().for_each(|(at, item)| place[*item] = Some(at));
        let item = |item: &usize| Item { count: waiting[*item], ..model.items[*item].clone() };
        let choice =
            |(item, most): &(usize, u32)| Some((place[*item]?, (*most).min(waiting[*item])));
        let machine = |machine: &Machine| {
            let choices: Vec<(usize, u32)> = machine.items.iter().filter_map(choice).collect();
            (!choices.is_empty()).then(|| Machine {
                candidate: machine.candidate,
                cost: machine.cost,
                room: machine.room.clone(),
                items: choices,
            })
        };
        let model = Model {
            items: items.iter().map(item).collect(),
            machines: model.machines.iter().filter_map(machine).collect(),
        };
        Self { model, items }
    }

    /// A column of the whole model, as much of it as is left.
    fn column(&self, column: &Column) -> Option<Column> {
        let left = |(item, count): &(usize, u32)| {
            let at = self.items.binary_search(item).ok()?;
            Some((at, (*count).min(self.model.items[at].count)))
        };
        let counts: Vec<(usize, u32)> = column.counts.iter().filter_map(left).collect();
        let Column { cost, candidate, .. } = *column;
        (!counts.is_empty()).then_some(Column { cost, candidate, counts })
    }

    /// A column of what is left, as one of the whole model.
    fn back(&self, column: &Column) -> Column {
        let counts = column.counts.iter().map(|(at, count)| (self.items[*at], *count)).collect();
        Column { cost: column.cost, candidate: column.candidate, counts }
    }
}
