//! What of a pod a trace can say.

use berth_simulations::trace::{GPU_RESOURCE, TraceShape};
use berth_solver::model::{
    Bytes, Name, PodAffinityTerm, PodShape, Requirements, TopologySpread, WhenUnsatisfiable,
    well_known,
};

/// More of anything a trace does not hold.
const LARGEST_AMOUNT: i64 = 1 << 40;
const WHOLE_GPU: i64 = 1_000;

/// What a pod asks for, and whether that is all: a trace has no words for affinity between
/// workloads, for node affinity with a choice, or for spreads over other pods than its own.
/// Preferences and tolerations are left out without being counted.
pub fn trace_shape(pod: &PodShape) -> (TraceShape, bool) {
    let requests = &pod.requests;
    let mut shape = TraceShape {
        cpu_milli: amount(requests.cpu.0),
        memory_mib: mebibytes(requests.memory),
        ephemeral_mib: mebibytes(requests.ephemeral_storage),
        priority: pod.priority,
        ..TraceShape::default()
    };
    for (name, count) in requests.extended() {
        if *name == GPU_RESOURCE {
            (shape.gpu, shape.gpu_milli) = (amount(*count), WHOLE_GPU);
        } else {
            shape.resources.push((name.clone(), amount(*count)));
        }
    }
    let labels = select(pod, &mut shape);
    let spreads = pod.topology_spread.iter().all(|one| spread(one, pod, &mut shape));
    let apart = pod.anti_affinity.iter().all(|term| is_of_its_own_kind(term, pod));
    let ports = pod.host_ports.is_empty();
    shape.host_anti_affinity =
        !ports || pod.anti_affinity.iter().any(|one| is_of_its_own_kind(one, pod));
    (shape, labels && spreads && apart && ports && pod.affinity.is_empty())
}

fn amount(amount: i64) -> i64 {
    amount.clamp(0, LARGEST_AMOUNT)
}

/// Rounded up: it needs at least as much.
fn mebibytes(bytes: Bytes) -> i64 {
    amount(bytes.0.saturating_add((1 << 20) - 1) >> 20)
}

/// The labels that its node must have. Returns whether that is all it wants of its node.
fn select(pod: &PodShape, shape: &mut TraceShape) -> bool {
    let mut wanted = Requirements::from_labels(&pod.node_selector);
    let mut is_all = true;
    match &pod.node_affinity[..] {
        [] => {}
        [only] => wanted = wanted.intersection(only),
        _ => is_all = false,
    }
    for (key, values) in wanted.iter() {
        let Some(value) = values.single() else {
            is_all = false;
            continue;
        };
        match value.parse() {
            Ok(kind) if *key == well_known::CAPACITY_TYPE_LABEL => shape.capacity_type = Some(kind),
            _ => shape.node_selector.push((key.clone(), value.clone())),
        }
    }
    shape.node_selector.sort_unstable();
    is_all
}

/// Returns whether a trace can say it.
fn spread(one: &TopologySpread, pod: &PodShape, shape: &mut TraceShape) -> bool {
    if one.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway {
        return true;
    }
    let own = one.selector.matches(&pod.labels);
    let tighter = |before: Option<u32>| Some(before.unwrap_or(u32::MAX).min(one.max_skew.max(1)));
    match (&*one.topology_key, one.min_domains) {
        (well_known::ZONE_LABEL, None | Some(1)) if own => {
            shape.zone_spread = tighter(shape.zone_spread);
        }
        (well_known::HOSTNAME_LABEL, None | Some(1)) if own => {
            shape.host_spread = tighter(shape.host_spread);
        }
        _ => return false,
    }
    true
}

/// Whether it keeps pods of its own kind off its node.
fn is_of_its_own_kind(term: &PodAffinityTerm, pod: &PodShape) -> bool {
    let here: &Name = &pod.namespace;
    term.topology_key == well_known::HOSTNAME_LABEL
        && term.selector.matches(&pod.labels)
        && term.namespaces.contains(here)
}

#[cfg(test)]
mod tests {
    use berth_simulations::trace::{Shapes, TraceRecord};
    use berth_solver::model::{CapacityType, LabelSelector, Labels, Operator, Timestamp, ValueSet};

    use super::*;

    fn record(shape: TraceShape) -> TraceRecord {
        TraceRecord {
            namespace: "shop".into(),
            name: "web-0".into(),
            workload: "web".into(),
            submit: Timestamp::default(),
            start: None,
            end: None,
            shape,
        }
    }

    #[test]
    fn what_a_trace_can_say_comes_back_as_it_was() {
        let mut shapes = Shapes::new();
        for shape in [
            TraceShape { cpu_milli: 250, memory_mib: 512, ..TraceShape::default() },
            TraceShape {
                gpu: 2,
                gpu_milli: WHOLE_GPU,
                ephemeral_mib: 10,
                priority: -3,
                node_selector: vec![("disk".into(), "ssd".into()), ("rack".into(), "r7".into())],
                zone_spread: Some(2),
                host_spread: Some(3),
                host_anti_affinity: true,
                capacity_type: Some(CapacityType::Spot),
                resources: vec![("example.com/x".into(), 4)],
                ..TraceShape::default()
            },
        ] {
            let pod = shapes.shape(&record(shape.clone()));
            assert_eq!(trace_shape(&pod), (shape, true));
        }
    }

    #[test]
    fn memory_is_rounded_up_and_what_cannot_be_said_is_told() {
        let mut shapes = Shapes::new();
        let plain = TraceShape { memory_mib: 1, host_anti_affinity: true, ..TraceShape::default() };
        let plain = PodShape::clone(&shapes.shape(&record(plain)));
        let mut pod = plain.clone();
        pod.requests.memory = Bytes((1 << 20) + 1);
        assert_eq!(trace_shape(&pod).0.memory_mib, 2);
        let models = ValueSet::of(Operator::In, ["a".into(), "b".into()]);
        let choice: Requirements = [("model".into(), models)].into_iter().collect();
        let other = Labels::from_iter([("app".into(), "other".into())]);
        let elsewhere = PodAffinityTerm {
            selector: LabelSelector::match_labels(&other),
            ..plain.anti_affinity[0].clone()
        };
        for pod in [
            PodShape { node_affinity: [choice].into(), ..plain.clone() },
            PodShape { affinity: plain.anti_affinity.clone(), ..plain.clone() },
            PodShape { anti_affinity: [elsewhere].into(), ..plain.clone() },
        ] {
            let (shape, is_all) = trace_shape(&pod);
            assert!(!is_all, "{shape:?}");
        }
        assert!(trace_shape(&plain).1);
    }
}
