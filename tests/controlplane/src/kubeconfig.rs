//! Kubeconfig files and clients made from them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::certificates::{Authority, Identity};

/// How a kubeconfig's user proves who it is.
pub(crate) enum Credential<'a> {
    Certificate(&'a Identity),
    Token(&'a str),
}

/// Writes a kubeconfig (JSON is YAML) for a server whose certificate `authority` signed.
pub(crate) fn write(
    path: &Path,
    server: &str,
    authority: &Path,
    credential: &Credential<'_>,
) -> Result<()> {
    let user = match credential {
        Credential::Certificate(identity) => json!({
            "client-certificate": identity.certificate,
            "client-key": identity.key,
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let text: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "berth",
            "cluster": { "server": server, "certificate-authority": authority },
        }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": "berth", "context": { "cluster": "berth", "user": "user" } }],
        "current-context": "berth",
    });
    std::fs::write(path, text.to_string())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Issues a client certificate for this user and writes a kubeconfig that shows it to `server`.
pub(crate) fn for_user(
    authority: &Authority,
    server: &str,
    file: &str,
    user: &str,
    groups: &[&str],
) -> Result<PathBuf> {
    let identity = authority.client(file, user, groups)?;
    let path = authority.folder.join(format!("{file}.kubeconfig"));
    write(&path, server, &authority.certificate, &Credential::Certificate(&identity))?;
    Ok(path)
}

/// A client of the server and user that the kubeconfig at `path` names.
pub(crate) async fn client(path: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
