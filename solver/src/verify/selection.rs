//! Node selector, required node affinity, taints.

use super::picture::keeps_off;
use super::{Code, Findings, Picture};

pub(super) fn check(picture: &Picture<'_>, findings: &mut Findings) {
    for placed in &picture.placed {
        let host = &picture.hosts[placed.host];
        let (key, shape, title) = (&placed.pod.key, &placed.pod.shape, &host.title);
        let unselected =
            shape.node_selector.iter().find(|(key, value)| host.labels.get(key) != Some(value));
        if let Some((label, value)) = unselected {
            findings.add(
                Code::NodeSelector,
                format!("pod {key} selects {label}={value}, which {title} does not have"),
            );
        }
        let terms = &shape.node_affinity;
        if !terms.is_empty() && !terms.iter().any(|term| term.allow(&host.labels)) {
            findings.add(
                Code::NodeAffinity,
                format!("no term of pod {key}'s required node affinity allows {title}"),
            );
        }
        if let Some(taint) = host.taints.iter().find(|taint| keeps_off(taint, shape)) {
            findings.add(
                Code::Taint,
                format!("pod {key} does not tolerate {}={} of {title}", taint.key, taint.value),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Node, Operator, Taint, TaintEffect};
    use crate::testing::{cluster, node, pod, shape, taint};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes};

    #[test]
    fn selectors_affinity_and_taints_must_let_a_pod_onto_its_node() {
        let base = node("n", 4000, 4096);
        let ssd = Node { labels: base.labels.with([("disk".into(), "ssd".into())]), ..base };
        let tainted = Node { taints: Box::from([taint("team", "a")]), ..ssd.clone() };
        let preferring = Node {
            taints: Box::from([Taint {
                effect: TaintEffect::PreferNoSchedule,
                ..taint("team", "a")
            }]),
            ..ssd.clone()
        };
        let plain = || shape(100, 100);
        for (node, shape, expected) in [
            (&ssd, plain().node_selector("disk", "ssd"), None),
            (&ssd, plain().node_selector("disk", "hdd"), Some(Code::NodeSelector)),
            (&ssd, plain().node_selector("rack", "1"), Some(Code::NodeSelector)),
            (&ssd, plain().require("disk", Operator::In, &["ssd", "hdd"]), None),
            (&ssd, plain().require("disk", Operator::NotIn, &["ssd"]), Some(Code::NodeAffinity)),
            (
                &ssd,
                plain().require("disk", Operator::In, &["hdd"]).or_require(
                    "disk",
                    Operator::Exists,
                    &[],
                ),
                None,
            ),
            (&tainted, plain(), Some(Code::Taint)),
            (&tainted, plain().tolerate("team"), None),
            (&preferring, plain(), None),
        ] {
            let one = pod("one", &shape.build());
            let snapshot = cluster().node(node.clone()).pod(one.clone()).snapshot();
            let found = codes(&snapshot, &on_nodes(&[(&one, "n")]));
            assert_eq!(found, Vec::from_iter(expected), "{:?}", one.shape);
        }
    }
}
