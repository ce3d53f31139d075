//! Holding objects until what they stand for is gone.

use std::fmt::Debug;

use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Adds a finalizer to an object, or takes it off. Others' finalizers stay: the write fails if the
/// object has changed since it was read.
pub(super) async fn set<K>(
    api: &Api<K>,
    object: &K,
    finalizer: &str,
    is_held: bool,
) -> Result<(), kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut finalizers = object.finalizers().to_vec();
    finalizers.retain(|one| one != finalizer);
    if is_held {
        finalizers.push(finalizer.to_owned());
    }
    let patch = json!({ "metadata": {
        "resourceVersion": object.resource_version(), "finalizers": finalizers,
    } });
    let name = object.name_any();
    api.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
}
