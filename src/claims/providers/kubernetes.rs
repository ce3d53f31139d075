//! Databases on this cluster: CloudNativePG makes them.

use async_trait::async_trait;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Backend, BackendError, Connection, Login, Wanted, cloud};
use crate::claims::lifecycle::{Found, Phase};

/// The label of a Cluster with the UID of its claim.
pub const CLAIM_UID_LABEL: &str = "claims.berth.sh/claim-uid";
/// Who writes.
const MANAGER: &str = "berth-claims";
/// Where images come from, where the provider says nothing.
const IMAGES: &str = "ghcr.io/cloudnative-pg/postgresql";
/// What CloudNativePG calls a Cluster that serves.
const HEALTHY: &str = "Cluster in healthy state";

/// PostgreSQL as a Cluster of CloudNativePG, in the claim's namespace. Nothing outside the cluster
/// can reach it: its Services are of type ClusterIP.
#[derive(Clone)]
pub struct CloudNativePg(pub Client);

impl From<kube::Error> for BackendError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.code < 500 => {
                Self::refused(format!("Kubernetes: {}", status.message))
            }
            _ => Self::unsure(format!("Kubernetes: {error}")),
        }
    }
}

impl CloudNativePg {
    fn clusters(&self, wanted: &Wanted) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("postgresql.cnpg.io", "v1", "Cluster");
        Api::namespaced_with(self.0.clone(), &wanted.namespace, &ApiResource::from_gvk(&kind))
    }

    fn secrets(&self, wanted: &Wanted) -> Api<Secret> {
        Api::namespaced(self.0.clone(), &wanted.namespace)
    }

    async fn get(&self, wanted: &Wanted) -> Result<Option<DynamicObject>, BackendError> {
        let found = self.clusters(wanted).get_opt(&wanted.external_name).await?;
        let Some(cluster) = found else { return Ok(None) };
        let uid = cluster.metadata.labels.as_ref().and_then(|labels| labels.get(CLAIM_UID_LABEL));
        if !wanted.is_adopted && uid != Some(&wanted.claim_uid) {
            let name = &wanted.external_name;
            return Err(BackendError::refused(format!(
                "Cluster {name} is there and is not this claim's: it has not the label \
                 {CLAIM_UID_LABEL} with its UID"
            )));
        }
        Ok(Some(cluster))
    }

    async fn apply(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(manifest(wanted)?);
        self.clusters(wanted).patch(&wanted.external_name, &params, &patch).await?;
        Ok(())
    }

    async fn app_secret(&self, wanted: &Wanted) -> Result<Secret, BackendError> {
        let name = app_secret_name(wanted);
        let secret = self.secrets(wanted).get_opt(&name).await?;
        secret.ok_or_else(|| BackendError::refused(format!("Secret {name} is not there yet")))
    }
}

/// The Secret that CloudNativePG writes.
fn app_secret_name(wanted: &Wanted) -> String {
    format!("{}-app", wanted.external_name)
}

fn storage(wanted: &Wanted) -> u64 {
    wanted.storage().unwrap_or(10)
}

/// The Cluster.
fn manifest(wanted: &Wanted) -> Result<Value, BackendError> {
    let size = &wanted.size;
    let (Some(cpu), Some(memory)) = (&size.cpu, &size.memory) else {
        let size = &size.size;
        return Err(BackendError::refused(format!(
            "the provider's size {size} has no cpu or memory"
        )));
    };
    let settings = wanted.provider.postgresql.clone().unwrap_or_default();
    let images = settings.image_repository.as_deref().unwrap_or(IMAGES);
    let version = wanted.text("version").unwrap_or_default();
    let resources = json!({ "cpu": cpu, "memory": memory });
    let mut labels = wanted.labels.clone();
    labels.insert(CLAIM_UID_LABEL.to_owned(), wanted.claim_uid.clone());
    labels.insert("app.kubernetes.io/managed-by".to_owned(), "berth".to_owned());
    let mut storage = json!({ "size": format!("{}Gi", storage(wanted)) });
    if let Some(class) = &settings.storage_class {
        storage["storageClass"] = json!(class);
    }
    Ok(json!({
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {
            "name": wanted.external_name,
            "labels": labels,
            "annotations": wanted.annotations,
        },
        "spec": {
            "instances": size.instances.unwrap_or(1),
            "imageName": format!("{images}:{version}"),
            "enableSuperuserAccess": false,
            "resources": { "requests": resources, "limits": resources },
            "storage": storage,
            "inheritedMetadata": { "labels": wanted.labels, "annotations": wanted.annotations },
        },
    }))
}

fn differs(wanted: &Wanted, cluster: &Value) -> Result<Vec<&'static str>, BackendError> {
    let manifest = manifest(wanted)?;
    let fields = [
        ("/spec/instances", "instances"),
        ("/spec/resources/requests/cpu", "cpu"),
        ("/spec/resources/requests/memory", "memory"),
        ("/spec/storage/size", "storageGB"),
    ];
    let is_other = |(path, _): &(&str, _)| manifest.pointer(path) != cluster.pointer(path);
    Ok(fields.into_iter().filter(is_other).map(|(_, name)| name).collect())
}

#[async_trait]
impl Backend for CloudNativePg {
    fn is_idempotent(&self) -> bool {
        true
    }

    async fn observe(&self, wanted: &Wanted) -> Result<Option<Found>, BackendError> {
        let Some(cluster) = self.get(wanted).await? else { return Ok(None) };
        let text = |path: &str| cluster.data.pointer(path).and_then(Value::as_str);
        let said = text("/status/phase").unwrap_or("waiting for CloudNativePG").to_owned();
        let phase = match (cluster.metadata.deletion_timestamp.is_some(), said.as_str()) {
            (true, _) => Phase::Deleting,
            (false, HEALTHY) => Phase::Ready,
            (false, _) => Phase::Pending,
        };
        Ok(Some(Found { phase, said, differs: differs(wanted, &cluster.data)? }))
    }

    async fn create(&self, wanted: &Wanted) -> Result<(), BackendError> {
        self.get(wanted).await?;
        self.apply(wanted).await
    }

    async fn update(&self, wanted: &Wanted) -> Result<(), BackendError> {
        self.apply(wanted).await
    }

    async fn delete(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let Some(cluster) = self.get(wanted).await? else { return Ok(()) };
        let preconditions =
            Some(Preconditions { uid: cluster.metadata.uid, resource_version: None });
        let params = DeleteParams { preconditions, ..DeleteParams::background() };
        match self.clusters(wanted).delete(&wanted.external_name, &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// CloudNativePG follows the Secret that it has written itself.
    async fn rotate_password(&self, wanted: &Wanted) -> Result<(), BackendError> {
        let secret = self.app_secret(wanted).await?;
        let password = cloud::new_password();
        let patch = json!({
            "metadata": { "resourceVersion": secret.metadata.resource_version },
            "data": { "password": ByteString(password.into_bytes()) },
        });
        let name = app_secret_name(wanted);
        self.secrets(wanted).patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    async fn connection(&self, wanted: &Wanted) -> Result<Connection, BackendError> {
        let secret = self.app_secret(wanted).await?;
        let data = secret.data.unwrap_or_default();
        let text = |key: &str| {
            let value = data.get(key).map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned());
            let name = app_secret_name(wanted);
            value.ok_or_else(|| BackendError::refused(format!("Secret {name} has no {key}")))
        };
        let host = format!("{}.{}.svc", text("host")?, wanted.namespace);
        let [port, user, database] = [text("port")?, text("username")?, text("dbname")?];
        let login = Login { host: &host, port: &port, user: &user, database: &database };
        let mut connection = login.connection(&text("password")?);
        let authority = format!("{}-ca", wanted.external_name);
        if let Some(secret) = self.secrets(wanted).get_opt(&authority).await?
            && let Some(certificate) = secret.data.and_then(|mut data| data.remove("ca.crt"))
        {
            let certificate = String::from_utf8_lossy(&certificate.0).into_owned();
            connection.insert("ca.crt", SecretString::from(certificate));
        }
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::testing::wanted;

    #[test]
    fn a_cluster_is_compared_by_what_can_be_changed() {
        let mut wanted = wanted(&json!({ "version": "17", "storageGB": 20 }));
        wanted.size.cpu = Some("1".into());
        wanted.size.memory = Some("2Gi".into());
        let cluster = manifest(&wanted).unwrap();
        assert_eq!(cluster["spec"]["imageName"], "ghcr.io/cloudnative-pg/postgresql:17");
        assert_eq!(differs(&wanted, &cluster).unwrap(), [""; 0]);
        // Nothing but its own Services, which are of type ClusterIP.
        assert_eq!(cluster["spec"].get("managed"), None);
        wanted.parameters.insert("storageGB".to_owned(), json!(40));
        wanted.size.instances = Some(3);
        assert_eq!(differs(&wanted, &cluster).unwrap(), ["instances", "storageGB"]);
    }
}
