//! `spec.limits` of a NodePool: what its nodes may have together.

use crate::model::{NodePool, Price, Resources};

/// What a pool's nodes have together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// Their capacity.
    pub capacity: Resources,
    /// How many they are.
    pub nodes: i64,
    /// What they cost in an hour.
    pub price: Price,
}

impl Usage {
    /// With one more node.
    #[must_use]
    pub fn with(&self, capacity: &Resources, price: Price) -> Self {
        Self {
            capacity: &self.capacity + capacity,
            nodes: self.nodes.saturating_add(1),
            price: self.price + price,
        }
    }
}

/// Whether the pool may have one more node of that capacity and price.
pub fn check(pool: &NodePool, usage: &Usage, capacity: &Resources, price: Price) -> bool {
    let with = usage.with(capacity, price);
    pool.limits.first_exceeded(&with.capacity, with.nodes, with.price).is_none()
}

/// Which limit one more node would exceed.
pub fn explain(
    pool: &NodePool,
    usage: &Usage,
    capacity: &Resources,
    price: Price,
) -> Option<String> {
    let with = usage.with(capacity, price);
    let name = pool.limits.first_exceeded(&with.capacity, with.nodes, with.price)?;
    Some(format!("its limit of {name} would be exceeded"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::pool;
    use crate::model::{Bytes, MilliCpu};

    #[test]
    fn a_limit_counts_what_is_there_and_the_new_node() {
        let mut limited = pool("default");
        limited.limits.cpu = Some(8_000);
        limited.limits.nodes = Some(3);
        let machine = Resources::new(MilliCpu(4_000), Bytes(0));
        let mut usage = Usage::default();
        for _ in 0..2 {
            assert!(check(&limited, &usage, &machine, Price::ZERO));
            usage = usage.with(&machine, Price::ZERO);
        }
        assert_eq!(
            explain(&limited, &usage, &machine, Price::ZERO).as_deref(),
            Some("its limit of cpu would be exceeded")
        );
        let nothing = Resources::default();
        assert!(check(&limited, &usage, &nothing, Price::ZERO));
        let three = usage.with(&nothing, Price::ZERO);
        assert_eq!(
            explain(&limited, &three, &nothing, Price::ZERO).as_deref(),
            Some("its limit of nodes would be exceeded")
        );
    }
}
