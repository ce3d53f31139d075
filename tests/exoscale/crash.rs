//! The process dies at every external write of a create and of a delete, before it and after it,
//! and every answer of the cloud is lost: nothing is doubled, nothing is left, nothing that is
//! another's goes.

use std::time::Duration;

use berth::provider::exoscale::ExoscaleProvider;
use berth_cloud_fakes::Fault;
use berth_solver::model::Name;
use futures::stream::{FuturesUnordered, StreamExt as _};

use crate::memory::When;
use crate::rig::Rig;

/// A write of the fault-free run: its name, and how many of that name came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    name: &'static str,
    nth: usize,
    in_cloud: bool,
}

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The process dies before the write is carried out.
    DiesBefore,
    /// The process dies after it was carried out, and does not hear of it.
    DiesAfter,
    /// The write is carried out and its answer is lost; the process goes on.
    AnswerLost,
    /// The write is carried out, and a gateway answers 502.
    Gateway,
    /// The server is down.
    Unavailable,
}

/// What a run begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// A machine is asked for, and the claim stays.
    Create,
    /// A machine is asked for, and after the end the claim is deleted.
    CreateThenDelete,
    /// A machine that is there is deleted.
    Delete,
}

/// The cloud's changes, as the API names them.
const CLOUD_WRITES: [&str; 4] = [
    "create-instance",
    "delete-instance",
    "attach-instance-to-private-network",
    "attach-instance-to-elastic-ip",
];

/// The writes of a fault-free run, in an order in which each name's own order is right.
async fn points(life: Life) -> Vec<Point> {
    let rig = Rig::new().await;
    let provider = rig.ready().await;
    let before = rig.memory.writes().len();
    let id = record(&rig, &provider).await;
    let (mut skip, mut called) = (before, 0);
    if life == Life::Delete {
        (skip, called) = (rig.memory.writes().len(), rig.fake.journal().len());
        delete_claim(&rig);
        rig.until_deleted(&provider, Some(&id)).await;
    }
    let mut names: Vec<(&'static str, bool)> =
        rig.memory.writes()[skip..].iter().map(|name| (*name, false)).collect();
    for call in &rig.fake.journal()[called..] {
        if let Some(name) = CLOUD_WRITES.iter().find(|name| **name == call.operation) {
            names.push((*name, true));
        }
    }
    let mut points: Vec<Point> = Vec::new();
    for (name, in_cloud) in names {
        let nth = points.iter().filter(|point| point.name == name).count();
        points.push(Point { name, nth, in_cloud });
    }
    points
}

/// A machine that is recorded in its claim; gives its provider ID.
async fn record(rig: &Rig, provider: &ExoscaleProvider) -> Name {
    let machine = rig.until_created(provider).await;
    rig.memory.change_claim("general-a", |claim| {
        let status = claim.status.get_or_insert_default();
        status.provider_id = Some(machine.provider_id.to_string());
    });
    machine.provider_id
}

fn delete_claim(rig: &Rig) {
    rig.memory.change_claim("general-a", |claim| {
        claim.metadata.deletion_timestamp =
            Some(serde_json::from_value("2026-11-27T00:00:00Z".into()).unwrap());
    });
}

/// One run: to its end, and from there on by a new process.
async fn run(life: Life, point: Point, end: End) {
    let rig = Rig::new().await;
    rig.fake.world(|world| {
        world.timing.operation = Duration::from_secs(5);
        world.timing.listed_after = Duration::from_secs(45);
        world.timing.unlisted_after = Duration::from_secs(45);
    });
    let provider = rig.ready().await;
    let mut id = None;
    if life == Life::Delete {
        id = Some(record(&rig, &provider).await);
        delete_claim(&rig);
    }
    let calls = rig.fake.calls(point.name).len();
    match end {
        End::DiesBefore | End::DiesAfter if point.in_cloud => {
            let fault = if end == End::DiesBefore { Fault::Ignore } else { Fault::Hang };
            rig.fake.faults_after(point.name, point.nth, 1, fault);
        }
        End::DiesBefore => rig.memory.stop_at(point.name, point.nth, When::Before),
        End::DiesAfter => rig.memory.stop_at(point.name, point.nth, When::After),
        End::AnswerLost => rig.fake.faults_after(point.name, point.nth, 1, Fault::LoseReply),
        End::Gateway => rig.fake.faults_after(point.name, point.nth, 1, Fault::FailAfter(502)),
        End::Unavailable => {
            rig.fake.faults_after(point.name, point.nth, 1, Fault::refuse(503, "maintenance"));
        }
    }
    let dies = matches!(end, End::DiesBefore | End::DiesAfter);
    let working = async {
        match &id {
            Some(id) => rig.until_deleted(&provider, Some(id)).await,
            None => drop(rig.until_created(&provider).await),
        }
    };
    if dies {
        let arrived = async {
            if point.in_cloud {
                rig.fake.until_called(point.name, calls + point.nth + 1).await;
                // What is carried out is carried out before the process dies.
                rig.clock.sleep(Duration::from_secs(1)).await;
            } else {
                rig.memory.until_stopped().await;
            }
        };
        tokio::select! {
            () = working => panic!("{life:?} did not come to {point:?}"),
            () = arrived => {}
        }
        drop(provider);
        rig.fake.clear_faults();
    } else {
        working.await;
    }
    go_on(&rig, life, id).await;
    rig.assert_strangers_untouched();
}

/// A new process comes to the same end as the fault-free run, and nothing comes to light later.
async fn go_on(rig: &Rig, life: Life, id: Option<Name>) {
    let provider = rig.provider();
    match life {
        Life::Create => {
            let machine = rig.until_created(&provider).await;
            let ever = rig.ever("uid-a");
            assert_eq!(ever.len(), 1, "one create, whatever happened: {ever:#?}");
            let one = &ever[0];
            assert_eq!(machine.provider_id.as_str(), format!("exoscale://{}", one.id));
            assert_eq!((one.private_networks.len(), one.elastic_ips.len()), (2, 1), "{one:?}");
            assert_eq!(rig.memory.node_names(), ["general-a"]);
            assert_eq!(rig.memory.token_names().len(), 1);
        }
        Life::CreateThenDelete | Life::Delete => {
            if life == Life::CreateThenDelete {
                delete_claim(rig);
            }
            rig.until_deleted(&provider, id.as_deref()).await;
            rig.memory.remove_claim("general-a");
            assert_eq!(rig.present("uid-a"), [], "nothing is left");
            assert_eq!(rig.memory.node_names(), [""; 0]);
            assert_eq!(rig.memory.token_names(), [""; 0]);
            rig.clock.sleep(Duration::from_secs(180)).await;
            assert_eq!(rig.present("uid-a"), [], "nothing comes to light later");
            assert!(rig.ever("uid-a").len() <= 1, "{:?}", rig.ever("uid-a"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_at_whatever_write_nothing_is_doubled_or_left_and_nothing_foreign_goes() {
    let mut runs = Vec::new();
    for life in [Life::Create, Life::Delete] {
        let points = points(life).await;
        println!("{life:?}: {:?}", points.iter().map(|one| one.name).collect::<Vec<_>>());
        for point in points {
            let mut ends = vec![End::DiesBefore, End::DiesAfter];
            if point.in_cloud {
                ends.extend([End::AnswerLost, End::Gateway, End::Unavailable]);
            }
            for end in ends {
                runs.push((life, point, end));
                let dies = matches!(end, End::DiesBefore | End::DiesAfter);
                if life == Life::Create && dies {
                    runs.push((Life::CreateThenDelete, point, end));
                }
            }
        }
    }
    println!("{} runs", runs.len());
    let expected = runs.len();
    let mut waiting = runs.into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut done = 0;
    loop {
        while under_way.len() < 8
            && let Some((life, point, end)) = waiting.next()
        {
            under_way.push(tokio::spawn(async move {
                let ended = tokio::spawn(run(life, point, end)).await;
                assert!(ended.is_ok(), "{life:?} at {point:?}, {end:?}");
            }));
        }
        match under_way.next().await {
            Some(ended) => ended.unwrap(),
            None => break,
        }
        done += 1;
    }
    assert_eq!(done, expected);
    assert!(done >= 40, "only {done} runs");
}
