//! How long one answer takes, the network aside: JSON in, decision, JSON out.
//!
//! 5,000 nodes with a pod each, 100 of them on claims that are planned for; candidates as
//! kube-scheduler sends them with `nodeCacheCapable: true`.

#![allow(missing_docs, clippy::expect_used, reason = "a bench")]

use std::hint::black_box;
use std::sync::Arc;

use arc_swap::ArcSwap;
use berth::cache::Cache;
use berth::clock::Clock;
use berth::extender::{Extender, ExtenderState};
use berth::metrics::Metrics;
use berth::server::Handler;
use berth_solver::model::{CapacityType, Name, Snapshot, Target, Timestamp, well_known};
use berth_solver::placement::{Settings, StandingPlan};
use berth_solver::testing::{
    bound, claim, claim_with_condition, cluster, instance_type, node_of_claim, offering, pod, pods,
    pool, shape,
};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hyper::Request;
use serde_json::json;

const NODES: usize = 5_000;

fn picture() -> Snapshot {
    let pool = pool("default");
    let kind = instance_type(
        "standard.large",
        4_000,
        8_192,
        vec![offering("zone-1", CapacityType::OnDemand, 0.1)],
    );
    let web = shape(500, 1_024).label("app", "web").build();
    let cluster = (0..NODES).fold(cluster(), |cluster, index| {
        let claim = claim(&format!("default-{index:05}"), &pool, &kind);
        let claim = claim_with_condition(claim, well_known::condition::REGISTERED);
        let claim = claim_with_condition(claim, well_known::condition::INITIALIZED);
        let node = node_of_claim(&claim);
        let pod = bound(pod(&format!("old-{index}"), &web), &node.name);
        cluster.node(node).claim(claim).pod(pod)
    });
    cluster.pods(pods("new", 1_000, &web)).snapshot()
}

fn extender() -> Extender {
    let snapshot = picture();
    let targets = snapshot.unbound.values().take(900).enumerate().map(|(index, pod)| {
        (pod.uid.clone(), Target::Claim(Name::from(format!("default-{:05}", index % 100))))
    });
    let plan = StandingPlan {
        confirmed_at: Timestamp::default(),
        expires_at: Timestamp::from_seconds(i64::MAX),
        targets: targets.collect(),
    };
    Extender::new(ExtenderState {
        cache: Cache::of(snapshot),
        plan: Arc::new(ArcSwap::from_pointee(plan)),
        settings: Settings::default(),
        clock: Clock::system(),
        metrics: Arc::new(Metrics::new()),
    })
}

/// A question about a pod, which is padded to the usual size of a pod on the wire.
fn question(pod: &str, names: usize) -> Bytes {
    let names: Vec<String> = (0..names).map(|index| format!("default-{index:05}")).collect();
    let question = json!({
        "Pod": {
            "metadata": {
                "namespace": "default", "name": pod, "uid": format!("uid-{pod}"),
                "managedFields": [{"manager": "kube-controller-manager", "fieldsV1": "x".repeat(2_000)}],
            },
            "spec": {"containers": [{"name": "main", "image": "web"}], "priority": 0},
        },
        "Nodes": null,
        "NodeNames": names,
    });
    question.to_string().into()
}

fn answers(criterion: &mut Criterion) {
    let extender = extender();
    let unbound = extender_pods();
    for (path, verb) in [("/filter", "filter"), ("/prioritize", "prioritize")] {
        let mut group = criterion.benchmark_group(verb);
        for names in [1, 100, 500, 5_000] {
            group.throughput(Throughput::Elements(names as u64));
            for (case, pod) in [("planned", &unbound.0), ("unplanned", &unbound.1)] {
                let body = question(pod, names);
                group.bench_function(BenchmarkId::new(case, names), |bencher| {
                    bencher.iter(|| {
                        let request = Request::post(path).body(body.clone()).expect("a request");
                        black_box(extender.handle(request))
                    });
                });
            }
        }
        group.finish();
    }
}

/// The names of a pod with a place and of one without.
fn extender_pods() -> (String, String) {
    let snapshot = picture();
    let mut names = snapshot.unbound.keys().map(|key| key.name.to_string());
    (names.next().expect("a pod"), names.next_back().expect("another pod"))
}

criterion_group!(benches, answers);
criterion_main!(benches);
