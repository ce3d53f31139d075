//! `k8s.io/kube-scheduler/extender/v1`, as far as it is spoken.
//!
//! Its structs have no JSON names: fields are spelled as in Go (`NodeNames`), while the
//! Kubernetes objects inside are spelled as usual. Nothing is left out when empty, so nulls are
//! everywhere. Of the pod only what decisions need is decoded.

use std::borrow::Cow;
use std::fmt;

use berth_solver::placement::PodInQuestion;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
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
