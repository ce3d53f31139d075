//! The fake against a client that nobody here wrote: Exoscale's own, in Python.

use std::time::Duration;

use berth_cloud_fakes::exoscale::{Change, KEY, Timing};
use serde_json::json;

use crate::fake;
use crate::python::Python;

#[tokio::test]
async fn exoscales_own_client_finds_in_the_fake_what_it_knows() {
    let Some(python) = Python::with("exoscale-python", &["exoscale==0.16.4"]).await else { return };
    let fake = fake::start().await;
    let change = async |change: Change| fake.change(&json!(change)).await.unwrap();
    let operation = Duration::from_millis(100);
    change(Change::Timing(Timing { operation, ..Timing::default() })).await;
    let template = Change::AddSksTemplate("1.36.2".to_owned(), "standard".to_owned());
    let template = change(template).await;
    let network = change(Change::AddPrivateNetwork("inside".to_owned())).await;
    let endpoint = format!("{}/v2", fake.origin());
    let arguments = [&*endpoint, KEY.0, KEY.1, &template, &network];
    let said = python.run("tests/exoscale/independent.py", &arguments).await;
    let calls = fake.journal().await.unwrap().len();
    println!("{said} ({calls} calls)");
    assert!(calls > 20, "{calls}");
}
