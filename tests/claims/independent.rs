//! The fakes of OVH and Scaleway against those clouds' own clients, in Python.

use std::sync::Arc;
use std::time::SystemTime;

use berth_cloud_fakes::{ovh, scaleway};

use crate::python::Python;

/// Both clients.
const PACKAGES: [&str; 2] = ["ovh==1.2.0", "scaleway==2.12.0"];
const PROJECT: &str = "33333333-4444-4555-8666-777777777777";

#[tokio::test]
async fn ovhs_own_client_finds_in_the_fake_what_it_knows() {
    let Some(python) = Python::with("cloud-python", &PACKAGES).await else { return };
    let fake = ovh::Fake::start(PROJECT, Arc::new(SystemTime::now)).await.unwrap();
    // The client has to ask what time it is there.
    fake.world(|world| world.ahead = 3_600);
    let [application, secret, consumer] = fake.keys();
    let endpoint = fake.endpoint();
    let arguments = [&*endpoint, &application, &secret, &consumer, PROJECT];
    println!("{}", python.run("tests/claims/ovh.py", &arguments).await);
    assert!(fake.journal().len() > 15, "{}", fake.journal().len());
    let left = fake.world(|world| (world.databases.len(), world.instances.len()));
    assert_eq!(left, (0, 0));
}

#[tokio::test]
async fn scaleways_own_client_finds_in_the_fake_what_it_knows() {
    let Some(python) = Python::with("cloud-python", &PACKAGES).await else { return };
    let fake = scaleway::Fake::start(PROJECT, Arc::new(SystemTime::now)).await.unwrap();
    let arguments = [&*fake.endpoint(), &fake.secret(), PROJECT];
    println!("{}", python.run("tests/claims/scaleway.py", &arguments).await);
    assert!(fake.journal().len() > 15, "{}", fake.journal().len());
    let left = fake.world(|world| (world.databases.len(), world.servers.len()));
    assert_eq!(left, (0, 0));
}
