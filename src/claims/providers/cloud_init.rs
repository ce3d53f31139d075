//! What a machine's first boot is told.

use serde::Serialize;

use super::{BackendError, Wanted};

#[derive(Serialize)]
struct CloudConfig<'a> {
    hostname: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh_authorized_keys: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packages: Vec<String>,
}

/// The user data, plain. Written by a serializer: what a claim says stays a value, whatever is
/// in it.
///
/// # Errors
/// If it cannot be written.
pub(super) fn user_data(wanted: &Wanted) -> Result<String, BackendError> {
    let config = CloudConfig {
        hostname: &wanted.external_name,
        ssh_authorized_keys: wanted.list("sshPublicKeys"),
        packages: wanted.list("packages"),
    };
    // JSON is YAML.
    let text = serde_json::to_string(&config)
        .map_err(|error| BackendError::refused(format!("the user data: {error}")))?;
    Ok(format!("#cloud-config\n{text}\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::claims::testing::wanted;

    #[test]
    fn what_a_claim_says_stays_a_value() {
        let hostile = "ssh-ed25519 AAAA x\"\nruncmd: [reboot]\n#";
        let text = user_data(&wanted(&json!({ "sshPublicKeys": [hostile] }))).unwrap();
        let body = text.strip_prefix("#cloud-config\n").unwrap();
        assert_eq!(body.lines().count(), 1, "{body}");
        let read: Value = serde_saphyr::from_str(body).unwrap();
        assert_eq!(read, json!({ "hostname": "berth-test", "ssh_authorized_keys": [hostile] }));
    }
}
