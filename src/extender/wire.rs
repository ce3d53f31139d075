//! `k8s.io/kube-scheduler/extender/v1`, as far as it is spoken.
//!
//! Its structs have no JSON names: fields are spelled as in Go (`NodeNames`), while the
//! Kubernetes objects inside are spelled as usual. Nothing is left out when empty, so nulls are
//! everywhere. Of the pod only what decisions need is decoded.

use std::borrow::Cow;
use std::fmt;

use berth_solver::placement::{PodInQuestion, Refusal};
use serde::de::{Deserializer, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::watch::objects;

/// A string that is borrowed from the request unless it holds escapes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// `ExtenderArgs`.
#[derive(Debug, Deserialize)]
pub(super) struct Question<'a> {
    /// The pod to be scheduled.
    #[serde(default, borrow, rename = "Pod", alias = "pod")]
    pub(super) pod: Option<PodObject<'a>>,
    /// The candidates, for extenders that have the nodes themselves.
    #[serde(default, rename = "NodeNames", alias = "nodeNames", alias = "nodenames")]
    pub(super) node_names: Option<Vec<Text<'a>>>,
    /// The candidates in full, a `NodeList`, for others.
    #[serde(default, rename = "Nodes", alias = "nodes")]
    pub(super) nodes: Option<Value>,
}

/// The pod of `ExtenderArgs` or `ExtenderPreemptionArgs` with all that the watches would read.
#[derive(Debug, Deserialize)]
pub(super) struct WholePod {
    #[serde(rename = "Pod", alias = "pod")]
    pub(super) pod: objects::Pod,
}

/// `v1.Pod`.
#[derive(Debug, Deserialize)]
pub(super) struct PodObject<'a> {
    #[serde(default, borrow)]
    metadata: Option<Metadata<'a>>,
    #[serde(default, borrow)]
    spec: Option<Spec<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    #[serde(default, borrow)]
    namespace: Option<Text<'a>>,
    #[serde(default, borrow)]
    name: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(super) uid: Option<Text<'a>>,
    #[serde(default, borrow)]
    owner_references: Option<Vec<OwnerReference<'a>>>,
}

#[derive(Debug, Deserialize)]
struct OwnerReference<'a> {
    #[serde(default, borrow)]
    kind: Option<Text<'a>>,
    #[serde(default)]
    controller: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(default, borrow)]
    node_name: Option<Text<'a>>,
    #[serde(default)]
    priority: Option<i32>,
    #[serde(default, borrow)]
    priority_class_name: Option<Text<'a>>,
}

impl PodObject<'_> {
    /// What placement wants to know of it.
    pub(super) fn in_question(&self) -> PodInQuestion<'_> {
        fn plain<'a>(text: Option<&'a Text<'_>>) -> &'a str {
            text.map_or("", AsRef::as_ref)
        }
        let metadata = self.metadata.as_ref();
        let spec = self.spec.as_ref();
        let class = spec.and_then(|spec| spec.priority_class_name.as_ref()).map(AsRef::as_ref);
        PodInQuestion {
            namespace: plain(metadata.and_then(|metadata| metadata.namespace.as_ref())),
            name: plain(metadata.and_then(|metadata| metadata.name.as_ref())),
            uid: plain(metadata.and_then(|metadata| metadata.uid.as_ref())),
            node: spec
                .and_then(|spec| spec.node_name.as_ref())
                .map(AsRef::as_ref)
                .filter(|node| !node.is_empty()),
            of_daemon_set: metadata
                .and_then(|metadata| metadata.owner_references.as_ref())
                .is_some_and(|owners| owners.iter().any(OwnerReference::is_daemon_set)),
            critical: super::is_critical(spec.and_then(|spec| spec.priority), class),
            described: None,
        }
    }
}

impl OwnerReference<'_> {
    fn is_daemon_set(&self) -> bool {
        self.controller == Some(true)
            && self.kind.as_ref().is_some_and(|kind| kind.as_ref() == "DaemonSet")
    }
}

/// The names of the nodes in a `NodeList`.
pub(super) fn node_names(list: &Value) -> impl Iterator<Item = &str> {
    let nodes = list.get("items").and_then(Value::as_array).into_iter().flatten();
    nodes.filter_map(|node| node.get("metadata")?.get("name")?.as_str())
}

/// `ExtenderFilterResult`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FilterResult<'a> {
    nodes: Option<&'a Value>,
    node_names: Option<Vec<&'a str>>,
    failed_nodes: Refused<'a>,
    failed_and_unresolvable_nodes: Refused<'a>,
    error: &'a str,
}

impl<'a> FilterResult<'a> {
    /// Names what passes, and every other one with the reason.
    ///
    /// Refused nodes are "unresolvable": the pod fits on each of them as they are, so evicting
    /// other pods there cannot help, and kube-scheduler's preemption reports an error for a node
    /// on which it finds no pod to evict.
    pub(super) fn of(candidates: &[&'a str], verdicts: Vec<Option<Refusal>>) -> Self {
        let mut passed = Vec::with_capacity(candidates.len());
        let mut refused = Vec::new();
        for (&candidate, verdict) in candidates.iter().zip(verdicts) {
            match verdict {
                None => passed.push(candidate),
                Some(refusal) => refused.push((candidate, refusal)),
            }
        }
        Self {
            node_names: Some(passed),
            failed_and_unresolvable_nodes: Refused(refused),
            ..Self::error("")
        }
    }

    /// Gives all nodes back.
    pub(super) fn echo(nodes: &'a Value) -> Self {
        Self { nodes: Some(nodes), ..Self::error("") }
    }

    /// Says what is wrong. kube-scheduler throws the body of every status but 200 away.
    pub(super) fn error(message: &'a str) -> Self {
        Self {
            nodes: None,
            node_names: None,
            failed_nodes: Refused::default(),
            failed_and_unresolvable_nodes: Refused::default(),
            error: message,
        }
    }
}

/// Names and messages, as a JSON object.
#[derive(Debug, Default)]
struct Refused<'a>(Vec<(&'a str, Refusal)>);

impl Serialize for Refused<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, refusal) in &self.0 {
            map.serialize_entry(name, refusal.message())?;
        }
        map.end()
    }
}

/// `HostPriorityList`: candidates and their scores.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HostPriorities<'a>(pub(super) Vec<(&'a str, i64)>);

impl HostPriorities<'_> {
    /// Adds it to an answer. Thousands of such entries take four times as long through `serde`,
    /// which looks for something to escape byte by byte, in the names of the fields, too.
    pub(super) fn write(&self, body: &mut Vec<u8>) -> serde_json::Result<()> {
        body.push(b'[');
        for (index, (host, score)) in self.0.iter().enumerate() {
            body.extend_from_slice(if index == 0 { br#"{"Host":"# } else { br#",{"Host":"# });
            if is_plain(host) {
                body.push(b'"');
                body.extend_from_slice(host.as_bytes());
                body.push(b'"');
            } else {
                serde_json::to_writer(&mut *body, host)?;
            }
            body.extend_from_slice(br#","Score":"#);
            serde_json::to_writer(&mut *body, score)?;
            body.push(b'}');
        }
        body.push(b']');
        Ok(())
    }
}

/// Whether the text stands in JSON as it is.
fn is_plain(text: &str) -> bool {
    // No early end: so the compiler looks at many bytes at once.
    text.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'))
}
