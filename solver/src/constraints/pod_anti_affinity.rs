//! Required pod anti-affinity, both ways: no matching pod in the domain of a pod's term, and no
//! pod in the domain whose term matches it. A node without the term's key has no domain and is
//! free of the rule.

use crate::model::PodAffinityTerm;

/// Whether a domain with so many matching pods, and so many pods whose terms match this one, will
/// do.
pub fn check(matching: u32, objecting: u32) -> bool {
    matching == 0 && objecting == 0
}

/// Why it will not.
pub fn explain(term: &PodAffinityTerm, matching: u32, objecting: u32) -> Option<String> {
    if matching > 0 {
        Some(format!(
            "pod anti-affinity over {}: the domain has {matching} matching pods",
            term.topology_key
        ))
    } else if objecting > 0 {
        Some(format!(
            "pod anti-affinity over {} of {objecting} pods in the domain forbids this pod",
            term.topology_key
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::affinity;

    #[test]
    fn it_holds_in_both_directions() {
        let term = affinity("zone", &[("app", "db")]);
        for (matching, objecting, allowed) in
            [(0, 0, true), (1, 0, false), (0, 1, false), (1, 1, false)]
        {
            assert_eq!(check(matching, objecting), allowed);
            assert_eq!(explain(&term, matching, objecting).is_none(), allowed);
        }
    }
}
