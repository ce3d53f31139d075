use berth_simulations::replay::{PolicyName, Replay, ReplaySettings, Window};

use crate::support::{HEADER, at, catalog, mixed, prepare, run, source, trace};

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-6 * one.abs().max(other.abs()).max(1.0)
}

#[test]
fn every_pod_ends_once_and_no_policy_beats_the_bound() {
    let trace = mixed();
    let replay = prepare(&trace, ReplaySettings::default(), 1);
    for policy in PolicyName::ALL {
        let (replayed, kept) = run(&replay, policy);
        let summary = &replayed.summary;
        assert_eq!(replayed.came, 190, "{policy}");
        let there = replayed.ended + replayed.running + summary.unplaced;
        assert_eq!(there, replayed.came, "{policy}");
        assert_eq!(summary.unplaced, 0, "{policy}: {summary:?}");
        assert!(summary.cost_lower_bound > 0.0, "{policy}");
        assert!(summary.cost_lower_bound <= summary.cost_total, "{policy}: {summary:?}");
        for moment in &kept.moments {
            let bound = moment.bound_per_hour;
            assert!(bound <= moment.cost_per_hour + 1e-9, "{policy}: {moment:?}");
            assert!(moment.cpu_used <= moment.cpu + 1e-9, "{policy}: {moment:?}");
            assert!(moment.memory_used <= moment.memory + 1e-9, "{policy}: {moment:?}");
        }
    }
}

#[test]
fn the_timeline_adds_up_to_the_summary() {
    let trace = mixed();
    let replay = prepare(&trace, ReplaySettings::default(), 1);
    for policy in PolicyName::ALL {
        let (replayed, kept) = run(&replay, policy);
        let sum = |of: &dyn Fn(&berth_simulations::replay::Moment) -> f64| -> f64 {
            kept.moments.iter().map(|one| of(one) * one.seconds / 3_600.0).sum()
        };
        let summary = &replayed.summary;
        assert!(near(sum(&|one| one.cost_per_hour), summary.cost_total), "{policy}");
        assert!(near(sum(&|one| one.bound_per_hour), summary.cost_lower_bound), "{policy}");
        assert!(near(sum(&|one| one.nodes), summary.node_hours), "{policy}");
        assert!(near(sum(&|one| one.pods), summary.pod_hours), "{policy}");
        let launches: u64 = kept.moments.iter().map(|one| one.launches).sum();
        let evictions: u64 = kept.moments.iter().map(|one| one.evictions).sum();
        assert_eq!((launches, evictions), (summary.launches, summary.evictions), "{policy}");
        // The cost is the hours of nodes of each type times what it costs.
        let catalog = catalog();
        let by_type: f64 = kept
            .moments
            .iter()
            .flat_map(|one| {
                one.types.iter().map(move |(kind, nodes)| (kind, nodes * one.seconds / 3_600.0))
            })
            .map(|(kind, hours)| {
                let offerings = &catalog.get(kind).unwrap().offerings;
                offerings[0].price.as_f64() * hours
            })
            .sum();
        assert!(near(by_type, summary.cost_total), "{policy}: {by_type} {summary:?}");
    }
}

#[test]
fn the_same_trace_seed_and_settings_give_the_same_bytes() {
    let trace = mixed();
    let settings = ReplaySettings::default;
    for policy in PolicyName::ALL {
        let first = run(&prepare(&trace, settings(), 7), policy);
        let second = run(&prepare(&trace, settings(), 7), policy);
        assert!(first == second, "{policy}");
    }
    let berth = |seed| run(&prepare(&trace, settings(), seed), PolicyName::Berth).0.summary;
    assert_ne!(berth(1), berth(2), "chance has a part in it");
}

#[test]
fn a_pod_that_waited_runs_as_long_as_it_did() {
    let trace = trace(&format!("{HEADER}\na,w,10,610,1000,1024\nb,w,5000,,1000,1024\n"));
    let replay = prepare(&trace, ReplaySettings::default(), 1);
    let (replayed, _) = run(&replay, PolicyName::Berth);
    assert_eq!((replayed.ended, replayed.running), (1, 0), "b came at the last moment");
    // Ten minutes, and the images.
    let hours = replayed.summary.pod_hours;
    assert!((600.0..660.0).contains(&(hours * 3_600.0)), "{hours}");
    // It waited for its batch and its machine.
    let waited = replayed.summary.pending_seconds.max;
    assert!((20.0..=200.0).contains(&waited), "{waited}");
}

#[test]
fn a_window_begins_with_the_pods_that_are_there() {
    let text = format!(
        "{HEADER}\nover,w,0,100,500,512\nthere,w,50,,500,512\nlater,w,300,,500,512\n\
         after,w,900,,500,512\n"
    );
    let trace = trace(&text);
    let window = Window { from: Some(at(200)), to: Some(at(800)), sample: None };
    let settings = ReplaySettings::default();
    let replay = Replay::prepare(source(&trace, window, 1), catalog(), settings, 1).unwrap();
    let (replayed, kept) = run(&replay, PolicyName::Karpenter);
    assert_eq!((replayed.came, replayed.running), (2, 2));
    assert_eq!(replayed.summary.simulated_seconds, 600.0);
    assert_eq!(kept.moments[0].at_seconds, 200.0);
}

#[test]
fn a_sample_keeps_whole_workloads() {
    let trace = mixed();
    let window = Window { sample: Some(0.5), ..Window::default() };
    let records: Vec<_> =
        source(&trace, window, 3).records().unwrap().map(Result::unwrap).collect();
    let of = |name: &str| records.iter().filter(|one| one.workload == *name).count();
    assert!([0, 40].contains(&of("web")));
    let jobs: Vec<usize> = (0..6).map(|burst| of(&format!("job-{burst}"))).collect();
    assert!(jobs.iter().all(|count| [0, 25].contains(count)), "{jobs:?}");
    assert!(jobs.contains(&0) && jobs.contains(&25), "{jobs:?}");
}
