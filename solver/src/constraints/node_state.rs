//! A node takes new pods only while it is up, open and staying.

use crate::model::{Node, well_known};

/// Whether the node takes new pods.
pub fn check(node: &Node) -> bool {
    explain(node).is_none()
}

/// Why it does not.
pub fn explain(node: &Node) -> Option<&'static str> {
    if node.deleted.is_some() {
        Some("is being deleted")
    } else if node.has_taint(well_known::DISRUPTED_TAINT) {
        Some("is about to be removed")
    } else if node.unschedulable {
        Some("is cordoned")
    } else if !node.ready {
        Some("is not ready")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::node;
    use crate::model::{Name, Taint, TaintEffect, Timestamp};

    #[test]
    fn a_node_that_is_down_closed_or_leaving_takes_no_pods() {
        let good = node("n", &[]);
        assert!(check(&good));
        let mut cordoned = good.clone();
        cordoned.unschedulable = true;
        assert_eq!(explain(&cordoned), Some("is cordoned"));
        let mut down = good.clone();
        down.ready = false;
        assert_eq!(explain(&down), Some("is not ready"));
        let mut deleted = good.clone();
        deleted.deleted = Some(Timestamp::default());
        assert_eq!(explain(&deleted), Some("is being deleted"));
        let mut disrupted = good;
        disrupted.taints = Box::from([Taint {
            key: Name::from(well_known::DISRUPTED_TAINT),
            value: Name::from(""),
            effect: TaintEffect::NoSchedule,
        }]);
        assert_eq!(explain(&disrupted), Some("is about to be removed"));
    }
}
