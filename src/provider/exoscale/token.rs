//! Bootstrap tokens: one for each claim, valid for minutes, removed when its node has joined.
//!
//! The identifier of a token follows from its claim's UID, so that tokens are created and deleted
//! without being looked for: Berth needs no right to read Secrets.

use std::collections::BTreeMap;

use berth_solver::lifecycle::ClaimRef;
use berth_solver::model::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;
use rand::RngExt as _;
use secrecy::SecretString;

use super::cluster::Cluster;
use super::identity::{CLAIM_LABEL, CLAIM_UID_LABEL};
use crate::api::fnv1a;
use crate::autoscaler::objects;
use crate::provider::ProviderError;

/// The namespace that Kubernetes looks for them in.
pub const NAMESPACE: &str = "kube-system";
/// The type that Kubernetes tells them by.
pub const TOKEN_TYPE: &str = "bootstrap.kubernetes.io/token";
/// The groups whose certificate requests Exoscale's SKS approves.
const GROUPS: &str = "system:bootstrappers:worker,system:bootstrappers:ingress";
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A new token for a claim, in place of the one that an earlier attempt may have left.
///
/// # Errors
/// [`ProviderError`].
pub async fn renew(
    cluster: &dyn Cluster,
    claim: &ClaimRef,
    expires: Timestamp,
) -> Result<SecretString, ProviderError> {
    let (token, text) = new(claim, expires);
    if cluster.create_token(&token).await? {
        return Ok(text);
    }
    remove(cluster, &claim.uid).await?;
    if cluster.create_token(&token).await? {
        return Ok(text);
    }
    let name = name(&claim.uid);
    Err(ProviderError::Other(format!("Secret {NAMESPACE}/{name} is there again and again")))
}

/// Removes the token of a claim.
///
/// # Errors
/// [`ProviderError`].
pub async fn remove(cluster: &dyn Cluster, claim_uid: &str) -> Result<(), ProviderError> {
    cluster.delete_token(&name(claim_uid)).await
}

/// What the Secret of a claim's token is called.
fn name(claim_uid: &str) -> String {
    format!("bootstrap-token-{}", id_of(claim_uid))
}

/// Six letters of 36: two claims of a cluster have the same once in billions, and then only one of
/// them waits for its token to be removed.
fn id_of(claim_uid: &str) -> String {
    let mut rest = fnv1a(claim_uid.as_bytes());
    let letters = LETTERS.len() as u64;
    let mut letter = || {
        let index = usize::try_from(rest % letters).unwrap_or_default();
        rest /= letters;
        char::from(LETTERS[index])
    };
    (0..6).map(|_| letter()).collect()
}

fn new(claim: &ClaimRef, expires: Timestamp) -> (Secret, SecretString) {
    let mut random = rand::rng();
    let mut letter = || char::from(LETTERS[random.random_range(0..LETTERS.len())]);
    let secret: String = (0..16).map(|_| letter()).collect();
    let id = id_of(&claim.uid);
    let text = SecretString::from(format!("{id}.{secret}"));
    let labels = [(CLAIM_LABEL, &claim.name), (CLAIM_UID_LABEL, &claim.uid)];
    let labels: BTreeMap<_, _> =
        labels.map(|(key, value)| (key.to_owned(), value.to_string())).into();
    let data = [
        ("token-id", id),
        ("token-secret", secret),
        ("expiration", objects::time(expires)),
        ("usage-bootstrap-authentication", "true".to_owned()),
        ("auth-extra-groups", GROUPS.to_owned()),
        ("description", format!("lets the node of NodeClaim {} join", claim.name)),
    ];
    let data = data.map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())));
    let token = Secret {
        metadata: ObjectMeta {
            name: Some(name(&claim.uid)),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        type_: Some(TOKEN_TYPE.to_owned()),
        data: Some(data.into()),
        ..Secret::default()
    };
    (token, text)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_token_is_one_that_kubernetes_knows_and_its_name_follows_from_the_claim() {
        let claim = ClaimRef { name: "general-a".into(), uid: "u1".into() };
        let expires = Timestamp::from_seconds(1_800_000_000);
        let (token, text) = new(&claim, expires);
        let (id, secret) = text.expose_secret().split_once('.').unwrap();
        assert_eq!((id.len(), secret.len()), (6, 16));
        let allowed = |text: &str| text.bytes().all(|letter| LETTERS.contains(&letter));
        assert!(allowed(id) && allowed(secret));
        assert_eq!(token.metadata.name, Some(format!("bootstrap-token-{id}")));
        let data = token.data.unwrap();
        assert_eq!(data["expiration"].0, b"2027-01-15T08:00:00Z");
        assert_eq!(
            (&*data["token-id"].0, &*data["token-secret"].0),
            (id.as_bytes(), secret.as_bytes())
        );
        let (again, other) = new(&claim, expires);
        assert_eq!(again.metadata.name, Some(name("u1")));
        assert_ne!(other.expose_secret(), text.expose_secret());
        assert_ne!(name("u1"), name("u2"));
    }
}
