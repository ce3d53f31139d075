//! Berth's client and the fake: each was written from the API's description, by itself.

use std::time::Duration;

use berth::clock::Clock;
use berth::exoscale::compute::NewInstance;
use berth::exoscale::dbaas::PostgresSpec;
use berth::exoscale::network::Reference;
use berth::exoscale::{ErrorKind, OperationState};
use berth_cloud_fakes::Fault;
use berth_cloud_fakes::exoscale::Fake;
use secrecy::ExposeSecret as _;

use crate::support::{client, fake_at, fast_clock};

const PATIENCE: Duration = Duration::from_secs(20);

fn new_instance(fake: &Fake, labels: &[(&str, &str)]) -> NewInstance {
    let (kind, template) = fake.world(|world| {
        let kind = world.instance_types.iter().find(|kind| kind.name() == "standard.small");
        let kind = kind.unwrap().id.clone();
        (kind, world.add_sks_template("1.36.2", "standard"))
    });
    let pairs = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    NewInstance {
        name: "general-abc".to_owned(),
        instance_type: Reference::to(kind),
        template: Reference::to(template),
        disk_size: 50,
        labels: pairs.collect(),
        user_data: "Zm9v".to_owned(),
        security_groups: Vec::new(),
        anti_affinity_groups: Vec::new(),
        public_ip_assignment: "inet4",
        ssh_keys: Vec::new(),
    }
}

#[tokio::test]
async fn an_instance_lives_from_its_create_to_its_delete() {
    let clock = fast_clock(100.0);
    let fake = fake_at(&clock).await;
    fake.world(|world| world.timing.operation = Duration::from_secs(3));
    let client = client(&fake, &clock);
    let new = new_instance(&fake, &[("cluster", "c1")]);
    let began = client.create_instance(&new).await.unwrap();
    assert_eq!(began.state, OperationState::Pending);
    let id = began.subject().unwrap().to_owned();
    let ended = client.wait("create-instance", began, PATIENCE).await.unwrap();
    assert_eq!(ended.subject(), Some(id.as_str()));

    let found = client.instance(&id).await.unwrap();
    assert_eq!((found.name.as_str(), found.disk_size), ("general-abc", Some(50)));
    let listed = client.instances(&[("cluster", "c1")]).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].id, listed[0].disk_size), (&id, None), "a list says less");

    let network = fake.world(|world| world.add_private_network("inside"));
    let began = client.attach_private_network(&network, &id).await.unwrap();
    client.wait("attach", began, PATIENCE).await.unwrap();
    assert_eq!(client.instance(&id).await.unwrap().private_networks, [Reference::to(&network)]);

    let began = client.delete_instance(&id).await.unwrap();
    assert!(client.instance(&id).await.unwrap().state.is_terminating());
    client.wait("delete-instance", began, PATIENCE).await.unwrap();
    assert_eq!(client.instance(&id).await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(fake.world(|world| world.past.len()), 1);
}

#[tokio::test]
async fn only_what_was_signed_with_a_known_key_is_done() {
    let clock = Clock::system();
    let fake = fake_at(&clock).await;
    let client = client(&fake, &clock);
    client.instances(&[("k", "v"), ("other", "w")]).await.unwrap();
    fake.set_keys(&[("EXOother", "other")]);
    let error = client.quotas().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden, "{error}");
    let new = new_instance(&fake, &[]);
    client.create_instance(&new).await.unwrap_err();
    assert!(fake.world(|world| world.instances.is_empty()));
    let statuses: Vec<_> = fake.journal().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [Some(200), Some(403), Some(403)]);
}

#[tokio::test]
async fn faults_are_told_apart_by_whether_the_call_may_have_happened() {
    let clock = Clock::system();
    let fake = fake_at(&clock).await;
    let client = client(&fake, &clock);
    let new = new_instance(&fake, &[]);
    let before = || fake.world(|world| world.instances.len());
    for (fault, happens) in [
        (Fault::LoseReply, true),
        (Fault::Hang, true),
        (Fault::FailAfter(500), true),
        (Fault::Drop, false),
        (Fault::Ignore, false),
        (Fault::refuse(503, "maintenance"), false),
    ] {
        let count = before();
        fake.fault("create-instance", fault.clone());
        let error = client.create_instance(&new).await.unwrap_err();
        assert!(error.may_have_happened, "{fault:?}: {error}");
        assert_eq!(before() - count, usize::from(happens), "{fault:?}");
    }
    fake.fault("create-instance", Fault::Throttle(1));
    let error = client.create_instance(&new).await.unwrap_err();
    assert!(!error.may_have_happened, "{error}");
    assert_eq!(error.kind, ErrorKind::Throttled { retry_after: Some(Duration::from_secs(1)) });
}

#[tokio::test]
async fn operations_fail_stay_or_find_no_room() {
    let clock = fast_clock(100.0);
    let fake = fake_at(&clock).await;
    let client = client(&fake, &clock);
    let new = new_instance(&fake, &[]);
    fake.world(|world| world.room.insert("standard.small".to_owned(), 0));
    let began = client.create_instance(&new).await.unwrap();
    let error = client.wait("create-instance", began, PATIENCE).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InsufficientCapacity, "{error}");
    assert!(fake.world(|world| world.instances.is_empty()), "what was begun is undone");

    fake.world(|world| world.room.clear());
    fake.fault("create-instance", Fault::OperationStuck);
    let began = client.create_instance(&new).await.unwrap();
    let error = client.wait("create-instance", began, PATIENCE).await.unwrap_err();
    assert_eq!((&error.kind, error.may_have_happened), (&ErrorKind::TimedOut, true));

    fake.world(|world| world.quotas.insert("instance".to_owned(), 1));
    let error = client.create_instance(&new).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Quota, "{error}");
}

#[tokio::test]
async fn a_database_is_created_revealed_protected_and_deleted() {
    let clock = fast_clock(100.0);
    let fake = fake_at(&clock).await;
    fake.world(|world| world.timing.database = Duration::from_secs(600));
    let client = client(&fake, &clock);
    let spec = PostgresSpec {
        plan: Some("startup-4".to_owned()),
        version: Some("17".to_owned()),
        ip_filter: Some(vec!["10.0.0.0/8".to_owned()]),
        termination_protection: Some(true),
        ..PostgresSpec::default()
    };
    let began = client.create_postgres("orders", &spec).await.unwrap();
    assert_eq!(began.subject(), None, "it refers to nothing");
    let error = client.create_postgres("orders", &spec).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy, "its name is its identity: {error}");
    let state = async || client.postgres("orders").await.unwrap().state;
    assert_eq!(state().await.as_deref(), Some("rebuilding"));
    clock.sleep(Duration::from_secs(600)).await;
    assert_eq!(state().await.as_deref(), Some("running"));
    let found = client.postgres("orders").await.unwrap();
    assert_eq!(found.ip_filter, ["10.0.0.0/8"]);
    let password = client.postgres_password("orders", "avnadmin").await.unwrap();
    let known = fake.world(|world| world.databases["orders"].users["avnadmin"].clone());
    assert_eq!(password.expose_secret(), known);

    client.delete_postgres("orders").await.unwrap_err();
    let open = PostgresSpec { termination_protection: Some(false), ..PostgresSpec::default() };
    client.update_postgres("orders", &open).await.unwrap();
    client.delete_postgres("orders").await.unwrap();
    assert_eq!(client.postgres("orders").await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn what_is_not_as_described_is_found() {
    let clock = fast_clock(100.0);
    let fake = fake_at(&clock).await;
    let client = client(&fake, &clock);
    let mut new = new_instance(&fake, &[]);
    client.create_instance(&new).await.unwrap();
    let Some(none) = fake.held.violations() else { return };
    assert!(none.is_empty(), "{none:?}");
    // A request that the fake lets pass, and an answer that Berth does.
    new.public_ip_assignment = "a lot";
    client.create_instance(&new).await.unwrap();
    fake.world(|world| {
        for instance in world.instances.values_mut() {
            instance.public_ip_assignment = "inet4".to_owned();
            instance.state = "asleep".to_owned();
        }
    });
    client.instances(&[]).await.unwrap();
    let found = fake.held.violations().unwrap();
    assert!(found.iter().any(|one| one.starts_with("POST /instance: request: ")), "{found:?}");
    assert!(found.iter().any(|one| one.starts_with("GET /instance: answer: ")), "{found:?}");
    fake.held.forgive();
}
