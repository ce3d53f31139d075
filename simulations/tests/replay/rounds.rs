use std::fmt::Write as _;

use berth_simulations::replay::{PolicyName, Replay, ReplaySettings, Window};
use berth_solver::model::{CapacityType, Catalog};
use berth_solver::testing::{instance_type, offering};

use crate::support::{HEADER, run, source, trace};

/// Machines of 1, 4 and 8 CPUs with 8 GiB each, the same price for each CPU.
fn catalog() -> Catalog {
    let machine = |size: i64| {
        let offering = offering("zone-a", CapacityType::OnDemand, 0.05 * size as f64);
        instance_type(&format!("m{size}"), size * 1_000, size * 8_192, vec![offering])
    };
    Catalog { instance_types: [1, 4, 8].map(machine).into() }
}

#[test]
fn machines_that_a_round_waits_for_are_not_removed_as_empty_ones() {
    // Machines of 4 CPUs for the first; the others come later and have no room there, but would
    // have on machines of 8. Those come one after the other.
    let mut text = format!("{HEADER},host_anti_affinity\n");
    for index in 0..12 {
        writeln!(text, "large-{index},large,0,,3500,28672,false").unwrap();
    }
    for index in 0..12 {
        writeln!(text, "small-{index},small,600,,900,3072,true").unwrap();
    }
    writeln!(text, "end,end,3600,,100,100,false").unwrap();
    let mut settings = ReplaySettings::default();
    settings.pool.budget_percent = 100;
    settings.pool.spot = false;
    let trace = trace(&text);
    let source = source(&trace, Window::default(), 1);
    let replay = Replay::prepare(source, catalog(), settings, 1).unwrap();
    let (replayed, kept) = run(&replay, PolicyName::Berth);
    let rounds: Vec<&String> =
        kept.decisions.iter().filter(|line| line.contains("\"round\":\"consolidate\"")).collect();
    assert!(rounds.iter().any(|round| round.contains("\"m8/zone-a/on-demand\":")), "{rounds:?}");
    assert!(replayed.summary.evictions > 0, "{rounds:?}");
    assert!(rounds.len() <= 3, "the same again: {rounds:?}");
}
