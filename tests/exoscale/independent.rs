//! The fake against a client that nobody here wrote: Exoscale's own, in Python.

use std::time::Duration;

use berth_cloud_fakes::exoscale::Fake;

use crate::held::Held;
use crate::python::Python;

#[tokio::test]
async fn exoscales_own_client_finds_in_the_fake_what_it_knows() {
    let Some(python) = Python::with("exoscale-python", &["exoscale==0.16.4"]).await else { return };
    // Not through Prism, which writes JSON in another way than what was signed.
    let fake = Fake::start().await.unwrap();
    let _held = Held::of(&fake);
    let (template, network) = fake.world(|world| {
        world.timing.operation = Duration::from_millis(100);
        (world.add_sks_template("1.36.2", "standard"), world.add_private_network("inside"))
    });
    let (key, secret) = fake.key();
    let arguments = [&*fake.endpoint(), key, secret, &template, &network];
    let said = python.run("tests/exoscale/independent.py", &arguments).await;
    let calls = fake.journal().len();
    println!("{said} ({calls} calls)");
    assert!(calls > 20, "{calls}");
}
