//! What resources are worth: the dual values of the fluid relaxation, in which pods can be cut
//! up at will.

/// The prices of resources that make the demand worth most while no machine's content is worth
/// more than the machine costs: maximise `demand · x` with `capacity · x <= cost` for every
/// machine and `x >= 0`.
///
/// By linear programming's duality that is also the least cost at which the machines' capacities
/// together cover the demand. A small dense simplex serves: one column a resource, one row a
/// machine, and starting from zero needs no first phase.
pub fn resource_prices(demand: &[f64], machines: &[(&[f64], f64)]) -> Vec<f64> {
    let columns: Vec<usize> = (0..demand.len())
        .filter(|index| {
            demand[*index] > 0.0 && machines.iter().any(|(capacity, _)| capacity[*index] > 0.0)
        })
        .collect();
    // Scaled so that one unit of each resource is the whole demand.
    let mut table = Vec::with_capacity(machines.len() * (columns.len() + 1));
    for (capacity, cost) in machines {
        table.extend(columns.iter().map(|index| capacity[*index].max(0.0) / demand[*index]));
        table.push(cost.max(0.0));
    }
    let solution = simplex(&mut table, columns.len());
    let mut prices = vec![0.0; demand.len()];
    for (index, value) in columns.into_iter().zip(solution) {
        prices[index] = value / demand[index];
    }
    make_feasible(&mut prices, machines);
    prices
}

/// What a pod is worth at these prices that asks for this.
pub fn worth_of(demand: &[i64], prices: &[f64]) -> f64 {
    demand.iter().zip(prices).map(|(amount, price)| *amount as f64 * price).sum()
}

/// Maximises the sum of the variables under `row · x <= last entry of the row`. The rows stand one
/// after the other.
fn simplex(table: &mut [f64], columns: usize) -> Vec<f64> {
    const EPSILON: f64 = 1e-12;
    let width = columns + 1;
    let rows = table.len() / width;
    let mut objective = vec![1.0; width];
    objective[columns] = 0.0;
    // Which variable each column and each row stands for: 0.. the resources, then the slacks.
    let mut nonbasic: Vec<usize> = (0..columns).collect();
    let mut basic: Vec<usize> = (columns..columns + rows).collect();
    let mut pivot_row = vec![0.0; width];
    for round in 0..50 * (columns + 1) {
        // Largest coefficient first; the lowest index once that might go round in circles.
        let entering = (0..columns).filter(|column| objective[*column] > EPSILON);
        let entering = if round < 10 * (columns + 1) {
            entering.max_by(|a, b| objective[*a].total_cmp(&objective[*b]))
        } else {
            entering.min_by_key(|column| nonbasic[*column])
        };
        let Some(column) = entering else { break };
        let ratios = table
            .chunks_exact(width)
            .enumerate()
            .filter(|(_, row)| row[column] > EPSILON)
            .map(|(index, row)| (index, row[columns] / row[column]));
        let leaving = ratios.min_by(|(a, one), (b, other)| {
            one.total_cmp(other).then_with(|| basic[*a].cmp(&basic[*b]))
        });
        let Some((row, _)) = leaving else { break };
        pivot(table, &mut objective, &mut pivot_row, row, column);
        std::mem::swap(&mut nonbasic[column], &mut basic[row]);
    }
    let mut solution = vec![0.0; columns];
    for (row, variable) in basic.iter().enumerate() {
        if *variable < columns {
            solution[*variable] = table[row * width + columns].max(0.0);
        }
    }
    solution
}

fn pivot(
    table: &mut [f64],
    objective: &mut [f64],
    pivot_row: &mut [f64],
    row: usize,
    column: usize,
) {
    let width = pivot_row.len();
    pivot_row.copy_from_slice(&table[row * width..][..width]);
    let divisor = pivot_row[column];
    for (index, entry) in pivot_row.iter_mut().enumerate() {
        *entry = if index == column { 1.0 / divisor } else { *entry / divisor };
    }
    let eliminate = |target: &mut [f64]| {
        let factor = target[column];
        if factor != 0.0 {
            target.iter_mut().zip(&*pivot_row).for_each(|(entry, pivot)| *entry -= factor * pivot);
            target[column] = -factor * pivot_row[column];
        }
    };
    let (above, below) = table.split_at_mut(row * width);
    let (own, below) = below.split_at_mut(width);
    own.copy_from_slice(pivot_row);
    above.chunks_exact_mut(width).chain(below.chunks_exact_mut(width)).for_each(eliminate);
    eliminate(objective);
}

/// Scales prices down until no machine's content is worth more than the machine.
fn make_feasible(prices: &mut [f64], machines: &[(&[f64], f64)]) {
    let mut scale: f64 = 1.0;
    for (capacity, cost) in machines {
        let worth: f64 =
            capacity.iter().zip(&*prices).map(|(has, price)| has.max(0.0) * price).sum();
        if worth > *cost {
            scale = scale.min(cost / worth);
        }
    }
    prices.iter_mut().for_each(|price| *price *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_prices_its_scarce_resource() {
        let machine = [4.0, 16.0];
        let prices = resource_prices(&[100.0, 100.0], &[(&machine, 1.0)]);
        assert!((prices[0] - 0.25).abs() < 1e-9 && prices[1].abs() < 1e-9, "{prices:?}");
    }

    #[test]
    fn two_machines_price_both_resources_where_demand_lies_between() {
        // 4 CPU with 8 GiB for 1, 4 CPU with 32 GiB for 1.6: CPU 0.2, GiB 0.025.
        let (lean, fat) = ([4.0, 8.0], [4.0, 32.0]);
        let prices = resource_prices(&[100.0, 400.0], &[(&lean, 1.0), (&fat, 1.6)]);
        assert!((prices[0] - 0.2).abs() < 1e-9, "{prices:?}");
        assert!((prices[1] - 0.025).abs() < 1e-9, "{prices:?}");
    }

    #[test]
    fn a_resource_that_nothing_has_is_worth_nothing() {
        let machine = [4.0, 0.0];
        let prices = resource_prices(&[1.0, 1.0], &[(&machine, 1.0)]);
        assert_eq!(prices[1], 0.0);
        assert!(prices[0].is_finite());
        assert_eq!(resource_prices(&[1.0], &[]), [0.0]);
    }
}
