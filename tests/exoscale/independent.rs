//! The fake against a client that nobody here wrote: Exoscale's own, in Python.

use std::path::Path;
use std::time::Duration;

use berth_exoscale_fake::Fake;
use tokio::process::Command;

#[tokio::test]
async fn exoscales_own_client_finds_in_the_fake_what_it_knows() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = repository.join("target/exoscale-python");
    let script = repository.join("tests/exoscale/python.sh");
    let installed = Command::new(script).arg(&folder).output().await.unwrap();
    if !installed.status.success() {
        let why = String::from_utf8_lossy(&installed.stderr).trim().to_owned();
        assert!(std::env::var_os("CI").is_none(), "{why}");
        println!("skipped: Exoscale's Python client: {why}");
        return;
    }
    let fake = Fake::start().await.unwrap();
    let (template, network) = fake.world(|world| {
        world.timing.operation = Duration::from_millis(100);
        (world.add_sks_template("1.36.2", "standard"), world.add_private_network("inside"))
    });
    let (key, secret) = fake.key();
    let ran = Command::new(folder.join("bin/python"))
        .arg(repository.join("tests/exoscale/independent.py"))
        .args([&fake.endpoint(), key, secret, &template, &network])
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(Duration::from_secs(120), ran).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}{errors}");
    let calls = fake.journal().len();
    println!("{} ({calls} calls)", said.trim());
    assert!(calls > 20, "{calls}");
}
