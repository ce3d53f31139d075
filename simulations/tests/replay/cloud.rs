use berth_simulations::replay::{Incident, PolicyName, ReplaySettings};

use crate::support::{HEADER, mixed, prepare, run, trace};

#[test]
fn a_zone_that_is_lost_takes_its_nodes_and_gets_no_new_ones() {
    let outage =
        Incident::ZoneOutage { at_seconds: 3_000.0, zone: "zone-a".into(), for_seconds: 1_200.0 };
    // Nothing else evicts pods.
    let mut quiet = ReplaySettings::default();
    (quiet.berth.consolidate, quiet.karpenter.consolidate) = (false, false);
    let settings = ReplaySettings { incidents: vec![outage], ..quiet.clone() };
    for policy in [PolicyName::Berth, PolicyName::Karpenter] {
        let (calm, _) = run(&prepare(&mixed(), quiet.clone(), 1), policy);
        let (hit, kept) = run(&prepare(&mixed(), settings.clone(), 1), policy);
        assert!(hit.summary.evictions > calm.summary.evictions, "{policy}");
        assert_eq!(hit.summary.unplaced, 0, "{policy}");
        let during = kept.decisions.iter().filter(|line| {
            let decision: serde_json::Value = serde_json::from_str(line).unwrap();
            let at = decision["atSeconds"].as_f64().unwrap();
            // What is tried while nobody knows is refused; nothing is tried from then on.
            (3_020.0..4_200.0).contains(&at) && line.contains("/zone-a/")
        });
        assert!(during.count() <= 6, "{policy}: asked again every three minutes at most");
    }
}

#[test]
fn prices_that_change_change_the_bill() {
    let pod = trace(&format!("{HEADER}\na,w,0,7200,1000,1024\nend,w,7200,,10,10\n"));
    let settings = |factor: Option<f64>| ReplaySettings {
        incidents: factor
            .map(|factor| Incident::PriceChange {
                at_seconds: 3_600.0,
                instance_type_prefix: "".into(),
                factor,
            })
            .into_iter()
            .collect(),
        ..ReplaySettings::default()
    };
    let cost = |factor| run(&prepare(&pod, settings(factor), 1), PolicyName::Static).0.summary;
    let (same, twice) = (cost(None), cost(Some(2.0)));
    assert!((twice.cost_total / same.cost_total - 1.5).abs() < 1e-9, "{same:?} {twice:?}");
    assert!(twice.cost_lower_bound > same.cost_lower_bound);
    assert!(twice.cost_lower_bound <= twice.cost_total);
}

#[test]
fn offerings_that_run_out_cost_time_and_no_pods() {
    let mut settings = ReplaySettings::default();
    settings.cloud.shortages_per_day = 8.0;
    for policy in [PolicyName::Berth, PolicyName::Karpenter, PolicyName::ClusterAutoscaler] {
        let (replayed, _) = run(&prepare(&mixed(), settings.clone(), 1), policy);
        assert_eq!(replayed.ended + replayed.running, replayed.came, "{policy}");
    }
}

#[test]
fn what_a_policy_does_not_see_of_a_node_is_paid_all_the_same() {
    let with = |node_price: f64, sees_node_price: bool| {
        let mut settings = ReplaySettings::default();
        settings.pool.node_price = node_price;
        settings.karpenter.sees_node_price = sees_node_price;
        let (replayed, kept) = run(&prepare(&mixed(), settings, 1), PolicyName::Karpenter);
        (replayed.summary, kept.decisions)
    };
    let (free, decided) = with(0.0, true);
    let (unseen, blindly) = with(0.01, false);
    assert_eq!(decided, blindly);
    let dearer = unseen.cost_total - free.cost_total;
    assert!((dearer - 0.01 * free.node_hours).abs() < 1e-6, "{free:?} {unseen:?}");
    assert!(unseen.cost_lower_bound > free.cost_lower_bound);
    assert!(unseen.cost_lower_bound <= unseen.cost_total);
    let (seen, _) = with(0.01, true);
    assert!(seen.cost_lower_bound <= seen.cost_total && seen.cost_total > free.cost_total);
}
