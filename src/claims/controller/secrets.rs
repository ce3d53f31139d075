//! The connection Secret: in the claim's namespace, owned by the claim, and never over one that is
//! somebody else's.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, ObjectMeta, PostParams};
use kube::core::{ApiResource, Resource};
use secrecy::ExposeSecret as _;

use super::Shared;
use crate::claims::claim::Claim;
use crate::claims::lifecycle;
use crate::claims::providers::{CLAIM_UID_LABEL, Connection};

/// The annotation of a Secret with what the rotation was that its password is from.
const REVISION: &str = "claims.berth.sh/rotated";

/// How a Secret stands to its claim.
pub(super) async fn look(shared: &Shared, claim: &Claim) -> Result<lifecycle::Secret, kube::Error> {
    let Some(name) = &claim.secret else { return Ok(lifecycle::Secret::NotWanted) };
    let secrets: Api<Secret> = Api::namespaced(shared.client.clone(), &claim.namespace);
    Ok(match secrets.get_opt(name).await? {
        None => lifecycle::Secret::Absent,
        Some(secret) if !is_owned(&secret, &claim.uid) => lifecycle::Secret::Foreign,
        Some(secret) => {
            let annotations = secret.metadata.annotations.as_ref();
            let from = annotations.and_then(|annotations| annotations.get(REVISION));
            match from.map(String::as_str) == Some(revision(claim)) {
                true => lifecycle::Secret::Current,
                false => lifecycle::Secret::Stale,
            }
        }
    })
}

fn revision(claim: &Claim) -> &str {
    claim.status.rotated.as_deref().unwrap_or_default()
}

/// Writes it.
///
/// # Errors
/// Why it was not written, for people.
pub(super) async fn write(
    shared: &Shared,
    resource: &ApiResource,
    claim: &Claim,
    object: &DynamicObject,
    handed_on: (BTreeMap<String, String>, BTreeMap<String, String>),
    connection: &Connection,
) -> Result<(), String> {
    let Some(name) = &claim.secret else { return Ok(()) };
    let (mut labels, mut annotations) = handed_on;
    labels.insert("app.kubernetes.io/managed-by".to_owned(), "berth".to_owned());
    labels.insert(CLAIM_UID_LABEL.to_owned(), claim.uid.clone());
    annotations.insert(REVISION.to_owned(), revision(claim).to_owned());
    let data = connection.iter().map(|(key, value)| {
        ((*key).to_owned(), ByteString(value.expose_secret().as_bytes().to_vec()))
    });
    let mut secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(claim.namespace.clone()),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: object.controller_owner_ref(resource).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        data: Some(data.collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    let secrets: Api<Secret> = Api::namespaced(shared.client.clone(), &claim.namespace);
    let written = match secrets.create(&PostParams::default(), &secret).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {
            // Whose it is is read first, and that very version is replaced.
            let there = secrets.get(name).await.map_err(|error| failed(name, &error))?;
            if !is_owned(&there, &claim.uid) {
                return Err(format!("Secret {name} is somebody else's: it is not touched"));
            }
            secret.metadata.resource_version = there.metadata.resource_version;
            secrets.replace(name, &PostParams::default(), &secret).await
        }
        other => other,
    };
    written.map(|_| ()).map_err(|error| failed(name, &error))
}

fn failed(name: &str, error: &kube::Error) -> String {
    format!("Secret {name}: {error}")
}

fn is_owned(secret: &Secret, uid: &str) -> bool {
    let owners = secret.metadata.owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.uid == uid && owner.controller == Some(true))
}
