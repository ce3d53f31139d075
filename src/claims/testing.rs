//! Claims for tests.

use serde_json::{Value, json};

use super::claim::Claim;
use super::definition::Definition;
use crate::api::{ClaimDefinition, ClaimProviderSpec};

/// The definitions that are shipped: PostgreSQLInstance and VirtualMachine.
pub(crate) fn definitions() -> [Definition; 2] {
    let text = include_str!("../../deploy/options/claims/definitions.yaml");
    let read: Vec<ClaimDefinition> = serde_saphyr::from_multiple(text).unwrap();
    let read: Vec<Definition> = read.iter().map(|one| Definition::read(one).unwrap()).collect();
    read.try_into().unwrap()
}

/// A PostgreSQLInstance `orders` in the namespace `team-a`, with that `spec`.
pub(crate) fn claim(spec: &Value) -> Claim {
    let [postgresql, _] = definitions();
    let object = json!({
        "metadata": { "name": "orders", "namespace": "team-a", "uid": "uid-of-orders" },
        "spec": spec,
    });
    Claim::read(&object, &postgresql).unwrap()
}

/// A provider of that type with a small PostgreSQL for that price.
pub(crate) fn provider(kind: &str, price: &str) -> ClaimProviderSpec {
    serde_json::from_value(json!({
        "type": kind,
        "region": "ch-gva-2",
        "credentialsSecretRef": { "name": "key" },
        "sizes": [
            { "service": "PostgreSQL", "size": "small", "plan": "startup-4", "storageGB": 80,
              "pricePerMonth": price },
        ],
    }))
    .unwrap()
}

/// What is wanted of an Exoscale provider with these parameters.
pub(crate) fn wanted(parameters: &Value) -> super::providers::Wanted {
    let provider = provider("exoscale", "52.00");
    super::providers::Wanted {
        external_name: "berth-test".to_owned(),
        namespace: "team-a".to_owned(),
        claim_uid: "uid-of-orders".to_owned(),
        is_adopted: false,
        size: provider.sizes[0].clone(),
        provider,
        parameters: serde_json::from_value(parameters.clone()).unwrap(),
        labels: Default::default(),
        annotations: Default::default(),
    }
}
