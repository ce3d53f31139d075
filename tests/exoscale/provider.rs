//! What the provider sells, creates, lists and removes.

use std::sync::Arc;
use std::time::Duration;

use berth::provider::exoscale::Cluster;
use berth::provider::{CloudProvider as _, ProviderError};
use berth_cloud_fakes::Fault;
use berth_solver::lifecycle::ClaimRef;
use berth_solver::model::{CapacityType, Catalog};
use serde_json::{Value, json};

use crate::memory::{Memory, condition};
use crate::rig::{Rig, ZONE, claim, pool, reference, request, request_for};

fn nanos(catalog: &Catalog, kind: &str) -> Option<u64> {
    catalog.price(kind, ZONE, CapacityType::OnDemand).map(|price| price.as_nanos())
}

fn available(catalog: &Catalog, kind: &str) -> Option<bool> {
    Some(catalog.get(kind)?.offerings[0].available)
}

#[tokio::test]
async fn the_catalog_is_the_live_list_with_disks_priced_and_nothing_unpriced_or_forbidden() {
    let rig = Rig::new().await;
    let catalog = rig.catalog(&rig.ready().await).await;
    // 0.04666 and 50 GiB at 0.00014.
    assert_eq!(nanos(&catalog, "standard.medium"), Some(53_660_000));
    assert_eq!(nanos(&catalog, "standard.extra-large"), Some(193_670_000));
    assert_eq!(catalog.get("gpub300.small"), None, "nobody publishes its price");
    assert_eq!(catalog.get("storage.extra-large"), None, "it is not authorized");
    let medium = catalog.get("standard.medium").unwrap();
    let label = |key: &str| medium.labels.get(key).unwrap().single().unwrap().to_string();
    assert_eq!(label("topology.kubernetes.io/region"), ZONE);
    assert_eq!(label("exoscale.com/instance-family"), "standard");
    assert_eq!(medium.capacity.pods, 110);
    assert_eq!(medium.allocatable().cpu.0, 1_700, "300m are reserved");
    // 4 GiB less 4 % less 400 MiB reserved less 100 MiB at which kubelet evicts.
    let memory = 4_i64 << 30;
    assert_eq!(medium.allocatable().memory.0, memory - memory / 1_000 * 40 - (500 << 20));

    // Another process, while the list is away: the shipped prices.
    rig.fake.set_prices(Value::Null);
    let shipped = rig.catalog(&rig.provider()).await;
    assert_eq!(nanos(&shipped, "standard.medium"), Some(53_660_000));
}

#[tokio::test]
async fn a_quota_is_known_before_it_fails() {
    let rig = Rig::new().await;
    rig.fake.world(|world| {
        for kind in &mut world.instance_types {
            kind.authorized = true;
        }
    });
    let provider = rig.ready().await;
    let catalog = rig.catalog(&provider).await;
    assert_eq!(available(&catalog, "gpua30.small"), Some(false), "the GPU quota is 0 by default");
    assert_eq!(available(&catalog, "standard.medium"), Some(true));
    // A machine of the storage family has a disk of 1,000 GiB at least: 0.14 + 0.06.
    assert_eq!(nanos(&catalog, "storage.extra-large"), Some(200_000_000));

    rig.fake.world(|world| {
        world.quotas.insert("gpu".to_owned(), 1);
        world.quotas.insert("instance".to_owned(), 3);
    });
    rig.clock.sleep(Duration::from_secs(150)).await;
    let catalog = rig.catalog(&provider).await;
    assert_eq!(available(&catalog, "standard.medium"), Some(false), "three instances are there");
    let error = provider.create(&request()).await.unwrap_err();
    assert!(matches!(error, ProviderError::InsufficientCapacity(_)), "{error}");
}

#[tokio::test]
async fn no_room_is_told_apart_and_the_next_create_needs_no_wait() {
    let rig = Rig::new().await;
    let provider = rig.ready().await;
    rig.fake.world(|world| world.room.insert("standard.small".to_owned(), 0));
    let error = provider.create(&request()).await.unwrap_err();
    assert!(matches!(error, ProviderError::InsufficientCapacity(_)), "{error}");
    let medium = request_for("standard.medium", reference());
    let began = rig.clock.now();
    let machine = provider.create(&medium).await.unwrap();
    assert_eq!(machine.instance_type, "standard.medium");
    let took = rig.clock.now().since(began);
    assert!(took < Duration::from_secs(120), "a create that failed made nothing: {took:?}");
    let node = rig.memory.node_named("general-a").unwrap();
    let its = node.spec.unwrap().provider_id;
    assert_eq!(its.as_deref(), Some(&*machine.provider_id), "not that of the one that failed");
}

#[tokio::test]
async fn a_create_that_fails_while_nobody_watches_leaves_no_node_of_another_machine() {
    let rig = Rig::new().await;
    rig.fake.world(|world| world.timing.operation = Duration::from_secs(10));
    rig.fake.fault("create-instance", Fault::no_capacity());
    let provider = rig.ready().await;
    tokio::select! {
        machine = rig.until_created(&provider) => panic!("{machine:?}"),
        () = async {
            while rig.memory.node_named("general-a").is_none() {
                rig.clock.sleep(Duration::from_millis(200)).await;
            }
        } => {}
    }
    drop(provider);
    let machine = rig.until_created(&rig.provider()).await;
    assert_eq!((rig.ever("uid-a").len(), rig.present("uid-a").len()), (2, 1));
    let its = rig.memory.node_named("general-a").unwrap().spec.unwrap().provider_id;
    assert_eq!(its.as_deref(), Some(&*machine.provider_id));
}

#[tokio::test]
async fn an_instance_is_its_clusters_and_its_claims_and_its_node_is_there_first() {
    let rig = Rig::new().await;
    let provider = rig.ready().await;
    let machine = rig.until_created(&provider).await;
    let one = rig.present("uid-a").remove(0);
    assert_eq!(one.name, "general-a", "as its node: the certificate holds it");
    assert_eq!(one.labels["exoscale.com/node-claim"], "general-a");
    assert_eq!(one.labels["exoscale.com/nodepool-name"], "general");
    assert_eq!(one.security_groups.len(), 1);
    let node = rig.memory.node_named("general-a").unwrap();
    let (spec, status) = (node.spec.unwrap(), node.status.unwrap());
    assert_eq!(spec.provider_id.as_deref(), Some(machine.provider_id.as_str()));
    assert_eq!(status.node_info.unwrap().system_uuid, one.id);
    let taints: Vec<String> = spec.taints.unwrap().into_iter().map(|taint| taint.key).collect();
    assert_eq!(taints, ["karpenter.sh/unregistered"]);

    assert_eq!(rig.memory.token_names().len(), 1);
    provider.joined(&reference()).await.unwrap();
    assert_eq!(rig.memory.token_names(), [""; 0], "the token ends when the node has joined");

    // Until its claim records it, it is create's to complete.
    assert_eq!(provider.list().await.unwrap(), []);
    rig.memory.change_claim("general-a", |claim| {
        claim.status.get_or_insert_default().provider_id = Some(machine.provider_id.to_string());
    });
    let listed = provider.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].claim, &listed[0].pool), (&reference(), &"general".into()));
    let found = provider.get(&machine.provider_id).await.unwrap();
    assert_eq!(found.instance_type, "standard.small");
    rig.assert_strangers_untouched();
}

#[tokio::test]
async fn anti_affinity_groups_fill_one_after_the_other_and_then_nothing_is_sold() {
    let rig = Rig::new().await;
    let groups = rig.fake.world(|world| {
        world.timing.operation = Duration::from_secs(2);
        ["apart-1", "apart-2"].map(|name| world.add_anti_affinity_group(name))
    });
    let mut class = json!({ "imageTemplateSelector": {} });
    class["antiAffinityGroupSelectorTerms"] = json!([{ "name": "apart-1" }, { "name": "apart-2" }]);
    rig.memory.put_class(rig.node_class("default", &class));
    let provider = rig.ready().await;
    let request = |index: usize| {
        let (name, uid) = (format!("general-{index}"), format!("uid-{index}"));
        request_for("standard.small", ClaimRef { name: name.into(), uid: uid.into() })
    };
    for index in 0..17 {
        rig.memory.put_claim(claim(&format!("general-{index}"), &format!("uid-{index}")));
    }
    // Side by side: no two take the last place.
    let requests: Vec<_> = (0..16).map(request).collect();
    let made = requests.iter().map(|request| rig.until_created_for(&provider, request));
    futures::future::join_all(made).await;
    let members = |group: &String| rig.fake.world(|world| world.members(group).count());
    assert_eq!(groups.iter().map(members).collect::<Vec<_>>(), [8, 8]);
    let error = provider.create(&request(16)).await.unwrap_err().to_string();
    assert!(error.contains("all 2 anti-affinity groups"), "{error}");
    let catalog = rig.catalog(&provider).await;
    assert_eq!(available(&catalog, "standard.medium"), Some(false));
    let creates = rig.fake.calls("create-instance");
    let refused = creates.iter().filter_map(|call| call.status).filter(|status| *status != 200);
    assert_eq!(refused.count(), 0, "by choosing, not by failing");
}

#[tokio::test]
async fn only_what_is_surely_ours_and_long_without_a_claim_is_collected() {
    let rig = Rig::new().await;
    let provider = rig.ready().await;
    let machine = rig.until_created(&provider).await;
    rig.memory.remove_claim("general-a");
    assert_eq!(provider.list().await.unwrap(), [], "it is too young to be lost");
    rig.clock.sleep(Duration::from_secs(400)).await;
    // Old enough, and seen for the second time.
    let lost = provider.list().await.unwrap();
    assert_eq!(lost.iter().map(|one| &one.provider_id).collect::<Vec<_>>(), [&machine.provider_id]);
    rig.until_deleted(&provider, Some(&machine.provider_id)).await;
    assert_eq!(rig.present("uid-a"), []);

    // The other cluster of the organisation sees none of it, and nobody sees the add-on's.
    let theirs = rig.fake.world(|world| world.clusters[1].id.clone());
    let other = rig.provider_of(&theirs, Arc::new(Memory::new()));
    for _ in 0..2 {
        rig.clock.sleep(Duration::from_secs(40)).await;
        assert_eq!(provider.list().await.unwrap(), []);
        other.sweep().await.unwrap();
    }
    rig.assert_strangers_untouched();
}

#[tokio::test]
async fn a_list_that_lags_too_long_doubles_and_the_copy_is_removed() {
    let rig = Rig::new().await;
    rig.fake.world(|world| world.timing.listed_after = Duration::from_secs(300));
    let provider = rig.ready().await;
    rig.fake.fault("create-instance", Fault::LoseReply);
    let machine = rig.until_created(&provider).await;
    // That the oracle of the other tests sees a copy is shown here, too.
    assert_eq!(rig.present("uid-a").len(), 2);
    rig.memory.change_claim("general-a", |claim| {
        claim.status.get_or_insert_default().provider_id = Some(machine.provider_id.to_string());
    });
    rig.clock.sleep(Duration::from_secs(400)).await;
    provider.sweep().await.unwrap();
    assert_eq!(rig.present("uid-a").len(), 2, "seen once");
    rig.clock.sleep(Duration::from_secs(40)).await;
    provider.sweep().await.unwrap();
    let left: Vec<String> = rig.present("uid-a").into_iter().map(|one| one.id).collect();
    assert_eq!(left, [machine.provider_id.trim_start_matches("exoscale://")]);
    rig.assert_strangers_untouched();
}

#[tokio::test]
async fn a_machine_of_the_managed_add_on_goes_with_its_claim_and_no_other_way() {
    let rig = Rig::new().await;
    let provider = rig.ready().await;
    let addon = rig.fake.world(|world| {
        let (id, _) = world.instances.iter().find(|(_, one)| one.name == "addon").unwrap();
        format!("exoscale://{id}")
    });
    let found = provider.get(&addon).await.unwrap();
    assert_eq!(found.claim.uid, "");
    rig.memory.put_claim(claim("addon", "uid-addon"));
    assert_eq!(provider.list().await.unwrap(), [], "no claim records it");
    rig.memory.change_claim("addon", |claim| {
        claim.status.get_or_insert_default().provider_id = Some(addon.clone());
    });
    let listed = provider.list().await.unwrap();
    assert_eq!(listed.iter().map(|one| &*one.claim.uid).collect::<Vec<_>>(), ["uid-addon"]);
    let stranger = ClaimRef { name: "other".into(), uid: "uid-other".into() };
    let error = provider.delete(&stranger, Some(&addon.as_str().into())).await.unwrap_err();
    assert!(matches!(error, ProviderError::Refused(_)), "{error}");
    rig.assert_strangers_untouched();

    let its_own = ClaimRef { name: "addon".into(), uid: "uid-addon".into() };
    // An answer that does not find it is no proof that it is gone.
    rig.fake.fault("get-instance", Fault::refuse(404, "instance not found"));
    provider.delete(&its_own, Some(&addon.as_str().into())).await.unwrap();
    let error = provider.delete(&its_own, Some(&addon.as_str().into())).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotFound(_)), "{error}");
}

#[tokio::test]
async fn a_node_class_is_held_resolved_and_let_go() {
    let rig = Rig::new().await;
    let provider = rig.provider();
    assert_eq!(rig.catalog(&provider).await, Catalog::default(), "nothing before it is resolved");
    provider.look_at_node_classes(false).await.unwrap();
    let class = rig.memory.class("default").unwrap();
    let status = class.status.clone().unwrap();
    assert_eq!((status.private_networks.len(), status.elastic_ips.len()), (2, 1));
    let conditions: Vec<(String, String)> =
        status.conditions.into_iter().map(|one| (one.r#type, one.status)).collect();
    assert!(conditions.iter().all(|(_, status)| status == "True"), "{conditions:?}");
    let finalizers = class.metadata.finalizers.clone().unwrap();
    assert_eq!(finalizers, ["exoscale.com/nodeclass-finalizer"]);
    let writes = rig.memory.writes().len();
    provider.look_at_node_classes(true).await.unwrap();
    assert_eq!(rig.memory.writes().len(), writes, "what is so is not written again");

    // A new control-plane version has another template.
    let newer = rig.fake.world(|world| world.add_sks_template("1.36.2", "standard"));
    provider.look_at_node_classes(true).await.unwrap();
    let image = rig.memory.class("default").unwrap().status.unwrap().image_id;
    assert_eq!(image, Some(newer));

    let mut going = rig.memory.class("default").unwrap();
    going.metadata.deletion_timestamp =
        Some(serde_json::from_value("2026-11-27T00:00:00Z".into()).unwrap());
    rig.memory.put_class(going);
    provider.look_at_node_classes(false).await.unwrap();
    assert!(rig.memory.class("default").is_some(), "a claim refers to it");
    rig.memory.remove_claim("general-a");
    provider.look_at_node_classes(false).await.unwrap();
    assert!(rig.memory.class("default").is_none());
}

#[tokio::test]
async fn a_node_drifts_with_its_class_and_is_taken_back_where_it_fits_again() {
    let rig = Rig::new().await;
    let provider = rig.ready().await;
    let machine = rig.until_created(&provider).await;
    rig.memory.change_claim("general-a", |claim| {
        let status = claim.status.get_or_insert_default();
        status.provider_id = Some(machine.provider_id.to_string());
        status.conditions = vec![condition("Registered", "Registered")];
    });
    let said = async || {
        let claim = Cluster::claim(rig.memory.as_ref(), "general-a").await.unwrap().unwrap();
        let conditions = claim.status.unwrap().conditions;
        let drifted = conditions.into_iter().find(|one| one.r#type == "NodeClassDrifted");
        drifted.map(|one| one.reason)
    };
    for deep in [false, true] {
        provider.look_for_drift(deep).await.unwrap();
        assert_eq!(said().await, None, "as it was launched");
    }
    // The control plane is upgraded.
    let before = rig.memory.class("default").unwrap();
    rig.fake.world(|world| world.add_sks_template("1.36.2", "standard"));
    provider.look_at_node_classes(true).await.unwrap();
    provider.look_for_drift(false).await.unwrap();
    assert_eq!(said().await.as_deref(), Some("ImageDrift"));
    // And back: it is taken back, too.
    rig.memory.put_class(before.clone());
    provider.look_for_drift(false).await.unwrap();
    assert_eq!(said().await, None);
    // An elastic IP that the class has no more: only the instance itself tells.
    let mut without = before.clone();
    without.status.as_mut().unwrap().elastic_ips.clear();
    rig.memory.put_class(without);
    provider.look_for_drift(false).await.unwrap();
    assert_eq!(said().await, None, "no list shows it");
    provider.look_for_drift(true).await.unwrap();
    assert_eq!(said().await.as_deref(), Some("ElasticIPsDrift"));
    provider.look_for_drift(false).await.unwrap();
    assert_eq!(said().await.as_deref(), Some("ElasticIPsDrift"), "a list does not deny it either");
    // Other user data.
    let mut other = before;
    other.status.as_mut().unwrap().configuration_hash = Some("berth1-other".to_owned());
    rig.memory.put_class(other);
    provider.look_for_drift(true).await.unwrap();
    assert_eq!(said().await.as_deref(), Some("UserDataChanged"));
}

#[tokio::test]
async fn a_create_that_is_pending_for_ever_ends_with_its_claim_and_holds_nobody_up() {
    let rig = Rig::new().await;
    let provider = rig.ready().await;
    rig.fake.fault("create-instance", Fault::OperationStuck);
    let began = rig.clock.now();
    let error = provider.create(&request()).await.unwrap_err().to_string();
    assert!(rig.clock.now().since(began) >= Duration::from_secs(150), "{error}");
    // Whoever tries again finds the one that there is.
    let error = provider.create(&request()).await.unwrap_err().to_string();
    assert!(error.contains("is starting still"), "{error}");
    assert_eq!(rig.ever("uid-a").len(), 1, "none beside it");
    rig.memory.put_claim(claim("general-b", "uid-b"));
    let other = ClaimRef { name: "general-b".into(), uid: "uid-b".into() };
    rig.until_created_for(&provider, &request_for("standard.small", other)).await;
    // Too late, says the life cycle. The delete is pending for ever, too.
    rig.fake.fault("delete-instance", Fault::OperationStuck);
    for _ in 0..3 {
        provider.delete(&reference(), None).await.unwrap();
    }
    assert_eq!(rig.fake.calls("delete-instance").len(), 1, "it is asked for once");
    let stuck = rig.present("uid-a").remove(0).id;
    rig.fake.world(|world| world.remove(&stuck));
    rig.until_deleted(&provider, None).await;
    assert_eq!((rig.memory.node_names().len(), rig.present("uid-b").len()), (1, 1));
    rig.assert_strangers_untouched();
}

#[tokio::test]
async fn what_is_missing_from_an_answer_is_not_taken_for_gone() {
    let rig = Rig::new().await;
    let provider = rig.ready().await;
    // The answer to the create names no instance, and the list shows none at first.
    rig.fake.fault("create-instance", Fault::Missing("reference".into()));
    provider.create(&request()).await.unwrap_err();
    rig.fake.faults("list-instances", 2, Fault::Missing("instances".into()));
    let machine = rig.until_created(&provider).await;
    assert_eq!(rig.ever("uid-a").len(), 1);
    let record = |name: &str, id: &str| {
        rig.memory.change_claim(name, |claim| {
            claim.status.get_or_insert_default().provider_id = Some(id.to_owned());
        });
    };
    record("general-a", &machine.provider_id);
    rig.memory.put_claim(claim("general-b", "uid-b"));
    let other = ClaimRef { name: "general-b".into(), uid: "uid-b".into() };
    let medium = rig.until_created_for(&provider, &request_for("standard.medium", other)).await;
    record("general-b", &medium.provider_id);
    // No types at all: the last known catalog stays with whoever has it.
    rig.clock.sleep(Duration::from_secs(150)).await;
    rig.fake.fault("list-instance-types", Fault::Missing("instance-types".into()));
    provider.catalog(&pool("default")).await.unwrap_err();
    assert_eq!(available(&rig.catalog(&provider).await, "standard.small"), Some(true));
    // One type is sold no more: its machines hide no others, and are not gone.
    rig.fake.world(|world| world.instance_types.retain(|kind| kind.name() != "standard.small"));
    rig.clock.sleep(Duration::from_secs(150)).await;
    let listed = provider.list().await.unwrap();
    let ids: Vec<_> = listed.into_iter().map(|one| one.provider_id).collect();
    assert_eq!(ids, [medium.provider_id]);
    let error = provider.get(&machine.provider_id).await.unwrap_err();
    assert!(!matches!(error, ProviderError::NotFound(_)), "{error}");
    // A network is missing: the class is not ready, and is again as soon as it shows.
    rig.fake.fault("list-private-networks", Fault::Missing("private-networks".into()));
    provider.look_at_node_classes(true).await.unwrap();
    assert_eq!(rig.catalog(&provider).await, Catalog::default());
    provider.look_at_node_classes(false).await.unwrap();
    assert_ne!(rig.catalog(&provider).await, Catalog::default());
    assert_eq!((rig.present("uid-a").len(), rig.present("uid-b").len()), (1, 1));
    rig.assert_strangers_untouched();
}
