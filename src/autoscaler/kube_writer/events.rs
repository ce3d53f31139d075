use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use super::errors::refused;
use crate::autoscaler::writer::{Notice, Severity, Subject, WriteError};

/// The API server takes no longer messages (1 kB).
const LONGEST_MESSAGE: usize = 1_000;

/// Writes events, equal ones as one with a count.
pub(super) struct Events(Recorder);

impl Events {
    pub(super) fn new(client: kube::Client, identity: String) -> Self {
        let reporter = Reporter { controller: "berth".to_owned(), instance: Some(identity) };
        Self(Recorder::new(client, reporter))
    }

    pub(super) async fn publish(&self, notice: &Notice) -> Result<(), WriteError> {
        let event = Event {
            type_: match notice.severity {
                Severity::Normal => EventType::Normal,
                Severity::Warning => EventType::Warning,
            },
            reason: notice.reason.to_owned(),
            note: Some(shortened(&notice.message)),
            action: notice.action.to_owned(),
            secondary: None,
        };
        self.0.publish(&event, &reference(&notice.subject)).await.map_err(refused)
    }
}

fn reference(subject: &Subject) -> ObjectReference {
    let karpenter = "karpenter.sh/v1";
    let (kind, version, namespace, name, uid) = match subject {
        Subject::Pod { key, uid } => ("Pod", "v1", Some(&key.namespace), &key.name, uid),
        Subject::Claim(claim) => ("NodeClaim", karpenter, None, &claim.name, &claim.uid),
        Subject::Node(node) => ("Node", "v1", None, &node.name, &node.uid),
        Subject::Pool { name, uid } => ("NodePool", karpenter, None, name, uid),
    };
    ObjectReference {
        api_version: Some(version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: namespace.map(ToString::to_string),
        name: Some(name.to_string()),
        uid: Some(uid.to_string()),
        ..ObjectReference::default()
    }
}

fn shortened(message: &str) -> String {
    if message.len() <= LONGEST_MESSAGE {
        return message.to_owned();
    }
    let cut = (0..=LONGEST_MESSAGE - 3).rev().find(|at| message.is_char_boundary(*at));
    format!("{}...", &message[..cut.unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_between_letters() {
        assert_eq!(shortened("short"), "short");
        let long = "ä".repeat(600);
        let cut = shortened(&long);
        assert!(cut.len() <= LONGEST_MESSAGE && cut.ends_with("ä..."), "{}", cut.len());
    }
}
