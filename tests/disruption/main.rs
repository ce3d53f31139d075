//! Rounds of disruption carried out on a virtual cluster: what they lead to, that they end, and
//! that the process may die at any of their writes.

#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "tests")]

mod rig;

use berth::metrics::UnhealthyLabels;
use berth_simulations::cluster::Availability;
use berth_solver::model::{ConditionStatus, well_known::condition};
use rig::{Crash, Rig, describe, is_calm, price, running};

/// Forty pods of 500m and 1 GiB, then fourteen: a cluster that is much too large.
async fn scaled_down(budget: u32) -> Rig {
    let mut rig = Rig::new(budget);
    rig.start();
    rig.apply("web", 40);
    rig.settle("forty pods run", |objects| running(objects, "web") == 40 && is_calm(objects)).await;
    rig
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_scaled_down_becomes_cheap_and_then_nothing_moves_any_more() {
    let mut rig = scaled_down(50).await;
    let before = price(&rig.objects());
    rig.protect("web");
    let seen = rig.watch(&[("web", 13)]);
    rig.apply("web", 14);
    // Fourteen such pods need two large nodes: 0.20066.
    let is_cheap = |objects: &_| {
        running(objects, "web") == 14 && is_calm(objects) && price(objects).as_f64() <= 0.24
    };
    rig.settle("cheap", is_cheap).await;
    let after = rig.objects();
    assert!(price(&after) < before, "{} {}", price(&after), before);
    let evictions = seen.lock().evictions;
    rig.settle("steady", is_cheap).await;
    rig.kill().await;
    let seen = seen.lock();
    assert_eq!(seen.evictions, evictions, "nothing moves in a steady workload");
    assert!(seen.wrong.is_empty(), "{:?} {}", seen.wrong, describe(&after));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drift_replaces_every_node_within_the_budget_while_a_protected_service_stays_up() {
    let mut rig = Rig::new(25);
    rig.start();
    rig.apply("web", 40);
    rig.protect("web");
    rig.settle("forty pods run", |objects| running(objects, "web") == 40 && is_calm(objects)).await;
    let old: Vec<_> = rig.objects().claims.keys().cloned().collect();
    let seen = rig.watch(&[("web", 39)]);
    rig.change_pool(|pool| pool.hash = "new".into());
    rig.settle("every node is a new one", |objects| {
        running(objects, "web") == 40
            && is_calm(objects)
            && old.iter().all(|claim| !objects.claims.contains_key(claim))
    })
    .await;
    rig.kill().await;
    let seen = seen.lock();
    assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    // A new node may be smaller than the one that it replaces: there may be more of them then.
    let within = seen.leaving.iter().all(|(going, all)| *going <= (all * 25).div_ceil(100));
    assert!(within, "nodes that were going at a time, of how many: {:?}", seen.leaving);
    assert!(seen.evictions >= 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drifted_nodes_of_a_static_pool_get_their_successors_first_also_across_a_restart() {
    for after in [None, Some(false), Some(true)] {
        let mut rig = Rig::new(50);
        rig.start();
        rig.apply("web", 14);
        rig.settle("they run", |objects| running(objects, "web") == 14 && is_calm(objects)).await;
        let old: Vec<_> = rig.objects().claims.keys().cloned().collect();
        let replicas = u32::try_from(old.len()).expect("few");
        rig.change_pool(|pool| pool.replicas = Some(replicas));
        rig.protect("web");
        let seen = rig.watch(&[("web", 13)]);
        *rig.crash.lock() = after.map(|after| Crash { write: "CreateClaim", after });
        rig.change_pool(|pool| pool.hash = "new".into());
        if after.is_some() {
            assert!(rig.crash_and_restart().await, "CreateClaim never happened");
        }
        rig.settle("as many new nodes", |objects| {
            running(objects, "web") == 14
                && is_calm(objects)
                && objects.claims.len() == old.len()
                && old.iter().all(|claim| !objects.claims.contains_key(claim))
        })
        .await;
        rig.kill().await;
        let seen = seen.lock();
        assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i12_scaled_to_zero_and_back_twenty_times_nothing_is_left_behind() {
    let mut rig = Rig::new(100);
    rig.start();
    for time in 0..20 {
        rig.apply("web", 12);
        rig.settle("twelve pods run", |objects| running(objects, "web") == 12).await;
        rig.apply("web", 0);
        rig.settle("nothing is left", |objects| {
            objects.claims.is_empty() && objects.nodes.is_empty() && objects.pods.is_empty()
        })
        .await;
        let machines = rig.world.look(|world| world.cloud().instances().count());
        assert_eq!(machines, 0, "after {time} times");
    }
    rig.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i10_a_node_that_says_do_not_disrupt_after_it_was_marked_stays_across_a_restart() {
    let mut rig = scaled_down(100).await;
    // The process is stopped at the moment at which the first node has been marked.
    *rig.crash.lock() = Some(Crash { write: "RecordDisruption", after: false });
    rig.apply("web", 14);
    assert!(rig.reached().await);
    let marked = |objects: &berth_solver::model::Snapshot| {
        let states = objects.nodes.values();
        let tainted = states.filter(|state| state.node.has_taint("karpenter.sh/disrupted"));
        tainted.map(|state| state.node.name.clone()).next()
    };
    let node = marked(&rig.objects()).expect("a node is marked");
    rig.mark_node(&node, true);
    rig.kill().await;
    rig.start();
    rig.settle("cheap but for one node", |objects| {
        running(objects, "web") == 14 && is_calm(objects) && objects.nodes.contains_key(&node)
    })
    .await;
    rig.kill().await;
}

/// How many nodes of the pool were replaced because of a condition, as Prometheus is told.
fn repaired(rig: &Rig, condition: &str) -> u64 {
    let labels = UnhealthyLabels {
        condition: condition.to_owned(),
        nodepool: "general".to_owned(),
        capacity_type: "on-demand".to_owned(),
    };
    rig.metrics.nodeclaims_unhealthy_disrupted.get_or_create(&labels).get()
}

/// The node of the first claim.
fn first_node(rig: &Rig) -> berth_solver::model::Name {
    rig.objects().nodes.values().next().expect("a node").node.name.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unhealthy_node_is_replaced_whatever_its_pods_say_also_across_restarts() {
    for crash in [None, Some("SetTerminationTime"), Some("DeleteClaim"), Some("DeletePod")] {
        for after in [false, true] {
            let mut rig = Rig::new(0);
            rig.start();
            rig.apply("web", 4);
            rig.protect("web");
            rig.settle("four pods run", |objects| running(objects, "web") == 4).await;
            let node = first_node(&rig);
            *rig.crash.lock() = crash.map(|write| Crash { write, after });
            rig.ail(&node, "Ready", ConditionStatus::Unknown);
            if let Some(write) = crash {
                assert!(rig.crash_and_restart().await, "{write} never happened");
            }
            rig.settle("another node has its pods", |objects| {
                running(objects, "web") == 4
                    && is_calm(objects)
                    && !objects.nodes.contains_key(&node)
            })
            .await;
            let machines = rig.world.look(|world| world.cloud().instances().count());
            assert_eq!(machines, rig.objects().claims.len());
            rig.kill().await;
            if crash.is_none() {
                assert_eq!(repaired(&rig, "Ready"), 1);
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_waits_for_its_volumes_also_across_a_restart() {
    let mut rig = Rig::new(100);
    rig.start();
    rig.apply("web", 4);
    rig.settle("four pods run", |objects| running(objects, "web") == 4 && is_calm(objects)).await;
    let node = first_node(&rig);
    rig.attach("data", &node);
    rig.apply("web", 0);
    let waits = |objects: &berth_solver::model::Snapshot| {
        let mut drained = objects.claims.values().filter(|claim| claim.is(condition::DRAINED));
        drained.any(|claim| !claim.is(condition::VOLUMES_DETACHED))
            && objects.nodes.contains_key(&node)
    };
    rig.settle("the drained machine waits", waits).await;
    rig.kill().await;
    rig.start();
    rig.settle("and still does", waits).await;
    for after in [false, true] {
        *rig.crash.lock() = Some(Crash { write: "RecordDetached", after });
        rig.detach("data");
        if !after {
            assert!(rig.crash_and_restart().await, "RecordDetached never happened");
        }
    }
    *rig.crash.lock() = None;
    rig.settle("nothing is left", |objects| objects.claims.is_empty() && objects.nodes.is_empty())
        .await;
    rig.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_pod_that_asks_for_it_is_replaced_before_it_goes() {
    for crash in [None, Some(false), Some(true)] {
        let mut rig = Rig::new(100);
        rig.start();
        rig.apply_replaced_first("single", 1);
        rig.settle("it runs", |objects| running(objects, "single") == 1 && is_calm(objects)).await;
        let old: Vec<_> = rig.objects().claims.keys().cloned().collect();
        let seen = rig.watch(&[("single", 1)]);
        *rig.crash.lock() = crash.map(|after| Crash { write: "ReplacePod", after });
        rig.change_pool(|pool| pool.hash = "new".into());
        if crash.is_some() {
            assert!(rig.crash_and_restart().await, "ReplacePod never happened");
        }
        rig.settle("it runs on a new node", |objects| {
            running(objects, "single") == 1
                && is_calm(objects)
                && old.iter().all(|claim| !objects.claims.contains_key(claim))
        })
        .await;
        rig.kill().await;
        let seen = seen.lock();
        assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
        assert_eq!(seen.evictions, 0, "its Deployment has taken it away");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_spares_no_pod_lets_one_go_whose_successor_runs_first() {
    for asks in [true, false] {
        let mut rig = Rig::new(100);
        rig.start();
        match asks {
            true => rig.apply_replaced_first("single", 1),
            false => rig.apply("single", 1),
        }
        rig.budget("single", Availability::AtLeast(1));
        rig.settle("it runs", |objects| running(objects, "single") == 1 && is_calm(objects)).await;
        let old: Vec<_> = rig.objects().claims.keys().cloned().collect();
        let seen = rig.watch(&[("single", 1)]);
        rig.change_pool(|pool| pool.hash = "new".into());
        rig.settle("what may go has gone", |objects| {
            running(objects, "single") == 1
                && is_calm(objects)
                && old.iter().any(|claim| objects.claims.contains_key(claim)) != asks
        })
        .await;
        rig.kill().await;
        let seen = seen.lock();
        assert!(seen.wrong.is_empty(), "{:?}", seen.wrong);
        assert_eq!(seen.evictions, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_panics_is_written_again() {
    for write in ["CreateClaim", "RecordDrained", "DeleteNode"] {
        let mut rig = Rig::new(100);
        rig.start();
        *rig.panic_at.lock() = (write == "CreateClaim").then_some(write);
        rig.apply("web", 4);
        rig.settle("four pods run", |objects| running(objects, "web") == 4 && is_calm(objects))
            .await;
        if write != "CreateClaim" {
            *rig.panic_at.lock() = Some(write);
        }
        rig.apply("web", 0);
        rig.settle("nothing is left", |objects| {
            objects.claims.is_empty() && objects.nodes.is_empty()
        })
        .await;
        assert!(rig.panic_at.lock().is_none(), "{write} never happened");
        rig.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_cannot_be_replaced_first_are_evicted() {
    let mut rig = Rig::new(100);
    rig.start();
    rig.apply_replaced_first("pair", 2);
    rig.settle("both run", |objects| running(objects, "pair") == 2 && is_calm(objects)).await;
    let old: Vec<_> = rig.objects().claims.keys().cloned().collect();
    rig.change_pool(|pool| pool.hash = "new".into());
    rig.settle("both run on new nodes", |objects| {
        running(objects, "pair") == 2
            && is_calm(objects)
            && old.iter().all(|claim| !objects.claims.contains_key(claim))
    })
    .await;
    rig.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i17_a_process_that_dies_at_any_write_of_a_round_leaves_nothing_behind() {
    let undisturbed = {
        let mut rig = scaled_down(100).await;
        rig.apply("web", 14);
        rig.settle("cheap", cheap).await;
        rig.kill().await;
        price(&rig.objects())
    };
    for write in [
        "TaintNode",
        "RecordDisruption",
        "DeleteClaim",
        "EvictPod",
        "RecordDrained",
        "RecordDetached",
        "RecordTerminating",
        "DeleteNode",
        "ReleaseNode",
        "ReleaseClaim",
        "CreateClaim",
        "UntaintNode",
        "ClearDisruption",
    ] {
        for after in [false, true] {
            let mut rig = scaled_down(100).await;
            *rig.crash.lock() = Some(Crash { write, after });
            rig.apply("web", 14);
            // Not every round needs every write: then there is nothing to die at.
            if ["CreateClaim", "UntaintNode", "ClearDisruption"].contains(&write) {
                rig.settle_or_crash().await;
            } else {
                assert!(rig.crash_and_restart().await, "{write} never happened");
            }
            rig.settle("as cheap as undisturbed", |objects| {
                cheap(objects) && price(objects) <= undisturbed
            })
            .await;
            let objects = rig.objects();
            let machines = rig.world.look(|world| world.cloud().instances().count());
            assert_eq!(machines, objects.claims.len(), "{write}: {}", describe(&objects));
            rig.kill().await;
        }
    }
}

fn cheap(objects: &berth_solver::model::Snapshot) -> bool {
    running(objects, "web") == 14 && is_calm(objects) && price(objects).as_f64() <= 0.24
}
