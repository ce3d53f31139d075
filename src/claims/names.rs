//! What providers know things by.

use std::fmt::Write as _;

use aws_lc_rs::digest;

/// The name of what a claim stands for: the same for the same claim, another for every other claim
/// of any cluster, and nothing that a person has written. A claim that is deleted and made again
/// under its old name has another UID, and so never takes over what the old one left.
pub fn external(cluster_uid: &str, namespace: &str, claim_uid: &str) -> String {
    let text = format!("{cluster_uid}/{namespace}/{claim_uid}");
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref()[..10].iter().fold("berth-".to_owned(), |mut name, byte| {
        // Writing to a String never fails.
        let _ = write!(name, "{byte:02x}");
        name
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_short_dns_label_and_depends_on_everything() {
        let name = external("cluster", "team-a", "uid");
        assert_eq!(name, external("cluster", "team-a", "uid"));
        assert_eq!(name.len(), 26);
        for other in
            [("other", "team-a", "uid"), ("cluster", "team-b", "uid"), ("cluster", "team-a", "2")]
        {
            assert_ne!(name, external(other.0, other.1, other.2));
        }
    }
}
