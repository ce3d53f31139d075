//! The plan's price is the sum of its launches', and its bound is one.

use crate::model::{Plan, Price};

use super::{Code, Findings};

pub(super) fn check(plan: &Plan, findings: &mut Findings) {
    let sum: Price = plan.launches.iter().map(|launch| launch.price).sum();
    if sum != plan.price {
        findings.add(
            Code::PriceSum,
            format!("the launches cost {sum:.9}, the plan says {:.9}", plan.price),
        );
    }
    let nodes: Price = plan.launches.iter().map(|_| plan.price_per_node).sum();
    if plan.lower_bound > sum + nodes {
        findings.add(
            Code::LowerBound,
            format!(
                "the lower bound {:.9} is over the price {sum:.9} and {nodes:.9} for the nodes",
                plan.lower_bound
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Plan;
    use crate::testing::{cluster, exoscale_catalog, pod, pool, price, shape};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_one_launch};

    #[test]
    fn the_price_is_the_launches_and_the_bound_is_not_over_it() {
        let (general, catalog) = (pool("general"), exoscale_catalog(&["z"]));
        let one = pod("one", &shape(100, 100).build());
        let snapshot = cluster().pool(general.clone(), catalog.clone()).pod(one.clone()).snapshot();
        let plan = on_one_launch(&general, &catalog, "standard.small", &[&one]);
        let proven = Plan { lower_bound: plan.price, ..plan.clone() };
        assert_eq!(codes(&snapshot, &proven), []);
        let dearer = Plan { price: price(0.05), ..plan.clone() };
        assert_eq!(codes(&snapshot, &dearer), [Code::PriceSum]);
        let too_sure = Plan { lower_bound: price(0.05), ..plan };
        assert_eq!(codes(&snapshot, &too_sure), [Code::LowerBound]);
    }
}
