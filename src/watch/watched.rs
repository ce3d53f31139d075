//! What each kind is called, decoded into, and reduced to.

mod buffers;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use berth_solver::model::{
    Change, ClusterEvent, CsiNode, DaemonSet, Labels, Name, Node, NodeClaim, NodePool, Pod,
    PodDisruptionBudget, PodKey, Snapshot, StorageClass, Volume, VolumeAttachment, VolumeClaim,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer};

pub(super) use self::buffers::{Deployment, PodTemplate, ReplicaSet, StatefulSet};
use super::objects::{self, Meta};
use super::{Interner, reduce};
use crate::api;
use crate::cache::Kind;

/// How the API server calls a kind.
pub(super) struct Resource {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
}

/// A kind of object that is watched.
pub(super) trait Watched: DeserializeOwned + Clone + fmt::Debug + Send + 'static {
    /// What identifies an object of the kind.
    type Key: Send + 'static;
    /// The model's record.
    type Record: PartialEq + Send + Sync + 'static;

    const KIND: Kind;
    const RESOURCE: Resource;
    /// Whether clusters may do without the kind's definition. Then there are no such objects.
    const IS_OPTIONAL: bool = false;
    /// Kinds that are watched only where an object of this one refers to them.
    const MAY_REFER_TO: &'static [Kind] = &[];

    /// Namespace (empty if there is none), name and resource version.
    fn identity(&self) -> Identity<'_>;

    /// What identifies an object of this namespace and name.
    fn key(identity: Identity<'_>, interner: &Interner) -> Self::Key;

    /// The model's record, or why there can be none.
    fn reduce(&self, interner: &Interner) -> Result<Self::Record, String>;

    fn event(change: Change<Self::Key, Self::Record>) -> ClusterEvent;

    /// Which of [`Self::MAY_REFER_TO`] it refers to.
    fn refers_to(_record: &Self::Record) -> Option<Kind> {
        None
    }

    /// What the picture holds under the record's key. Only for kinds of which there are so many
    /// that a second copy of them matters.
    fn known<'a>(_picture: &'a Snapshot, _record: &Self::Record) -> Option<&'a Arc<Self::Record>> {
        None
    }

    /// Whether the picture keeps such a record. One that it would drop anyway (a pod that has
    /// ended) is left out of a list as it comes, so that a list is never larger than the picture.
    fn is_kept(_record: &Self::Record) -> bool {
        true
    }
}

/// Which object, and which state of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'a> {
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) resource_version: &'a str,
}

impl Identity<'_> {
    fn pod_key(self, interner: &Interner) -> PodKey {
        // Names are mostly unique: sharing them would only cost.
        PodKey { namespace: interner.name(self.namespace), name: Name::from(self.name) }
    }
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(formatter, "{}/", self.namespace)?;
        }
        formatter.write_str(self.name)
    }
}

impl Meta {
    fn identity(&self) -> Identity<'_> {
        Identity {
            namespace: &self.namespace,
            name: &self.name,
            resource_version: &self.resource_version,
        }
    }
}

/// Implements [`Watched`] for one of the compact objects.
macro_rules! watched {
    ($object:ty => $kind:ident, $record:ty, $key:ty, $key_of:expr, $group:literal $version:literal $plural:literal, $reduce:expr $(, $known:expr $(, $is_kept:expr)?)?) => {
        impl Watched for $object {
            type Key = $key;
            type Record = $record;

            const KIND: Kind = Kind::$kind;
            const RESOURCE: Resource =
                Resource { group: $group, version: $version, plural: $plural };

            fn identity(&self) -> Identity<'_> {
                self.metadata.identity()
            }

            fn key(identity: Identity<'_>, interner: &Interner) -> $key {
                $key_of(identity, interner)
            }

            fn reduce(&self, interner: &Interner) -> Result<$record, String> {
                $reduce(self, interner)
            }

            fn event(change: Change<$key, $record>) -> ClusterEvent {
                ClusterEvent::$kind(change)
            }

            $(fn known<'a>(picture: &'a Snapshot, record: &$record) -> Option<&'a Arc<$record>> {
                $known(picture, record)
            }

            $(fn is_kept(record: &$record) -> bool {
                $is_kept(record)
            })?)?
        }
    };
}

fn by_name(identity: Identity<'_>, interner: &Interner) -> Name {
    interner.name(identity.name)
}

watched!(objects::Pod => Pod, Pod, PodKey, Identity::pod_key, "" "v1" "pods",
    |object, interner| Ok(reduce::pod(object, interner)),
    known_pod, Pod::is_alive);
watched!(objects::Node => Node, Node, Name, by_name, "" "v1" "nodes",
    |object, interner| Ok(reduce::node(object, interner)),
    known_node);
watched!(objects::DaemonSet => DaemonSet, DaemonSet, PodKey, Identity::pod_key,
    "apps" "v1" "daemonsets", reduce::daemon_set);
watched!(objects::Namespace => Namespace, (Name, Labels), Name, by_name, "" "v1" "namespaces",
    |object, interner| Ok(reduce::namespace(object, interner)));
watched!(objects::PodDisruptionBudget => PodDisruptionBudget, PodDisruptionBudget, PodKey,
    Identity::pod_key, "policy" "v1" "poddisruptionbudgets",
    |object, interner| Ok(reduce::pod_disruption_budget(object, interner)));

watched!(objects::PersistentVolumeClaim => PersistentVolumeClaim, VolumeClaim, PodKey,
    Identity::pod_key, "" "v1" "persistentvolumeclaims",
    |object, interner| Ok(reduce::volume_claim(object, interner)));
watched!(objects::PersistentVolume => PersistentVolume, Volume, Name, by_name,
    "" "v1" "persistentvolumes", reduce::volume);
watched!(objects::StorageClass => StorageClass, StorageClass, Name, by_name,
    "storage.k8s.io" "v1" "storageclasses",
    |object, interner| Ok(reduce::storage_class(object, interner)));
watched!(objects::CsiNode => CsiNode, CsiNode, Name, by_name, "storage.k8s.io" "v1" "csinodes",
    |object, interner| Ok(reduce::csi_node(object, interner)));
watched!(objects::VolumeAttachment => VolumeAttachment, VolumeAttachment, Name, by_name,
    "storage.k8s.io" "v1" "volumeattachments",
    |object, interner| Ok(reduce::volume_attachment(object, interner)));

fn known_pod<'a>(picture: &'a Snapshot, record: &Pod) -> Option<&'a Arc<Pod>> {
    picture.pods.get(&record.key)
}

fn known_node<'a>(picture: &'a Snapshot, record: &Node) -> Option<&'a Arc<Node>> {
    Some(&picture.nodes.get(&record.name)?.node)
}

/// Implements [`Watched`] for one of the custom resources, which have no namespace.
macro_rules! watched_custom_resource {
    ($object:ident, $plural:literal, $reduce:path) => {
        impl Watched for api::$object {
            type Key = Name;
            type Record = $object;

            const KIND: Kind = Kind::$object;
            const RESOURCE: Resource =
                Resource { group: "karpenter.sh", version: "v1", plural: $plural };

            fn identity(&self) -> Identity<'_> {
                Identity {
                    namespace: "",
                    name: self.metadata.name.as_deref().unwrap_or_default(),
                    resource_version: self.metadata.resource_version.as_deref().unwrap_or_default(),
                }
            }

            fn key(identity: Identity<'_>, interner: &Interner) -> Name {
                by_name(identity, interner)
            }

            fn reduce(&self, interner: &Interner) -> Result<$object, String> {
                Ok($reduce(self, interner))
            }

            fn event(change: Change<Name, $object>) -> ClusterEvent {
                ClusterEvent::$object(change)
            }
        }
    };
}

watched_custom_resource!(NodePool, "nodepools", reduce::node_pool);
watched_custom_resource!(NodeClaim, "nodeclaims", reduce::node_claim);

/// The API group of a kind, empty for the core's.
pub const fn group_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Pod => objects::Pod::RESOURCE.group,
        Kind::Node => objects::Node::RESOURCE.group,
        Kind::NodeClaim => api::NodeClaim::RESOURCE.group,
        Kind::NodePool => api::NodePool::RESOURCE.group,
        Kind::DaemonSet => objects::DaemonSet::RESOURCE.group,
        Kind::Namespace => objects::Namespace::RESOURCE.group,
        Kind::PodDisruptionBudget => objects::PodDisruptionBudget::RESOURCE.group,
        Kind::PersistentVolumeClaim => objects::PersistentVolumeClaim::RESOURCE.group,
        Kind::PersistentVolume => objects::PersistentVolume::RESOURCE.group,
        Kind::StorageClass => objects::StorageClass::RESOURCE.group,
        Kind::CsiNode => objects::CsiNode::RESOURCE.group,
        Kind::VolumeAttachment => objects::VolumeAttachment::RESOURCE.group,
        Kind::CapacityBuffer => api::CapacityBuffer::RESOURCE.group,
        Kind::PodTemplate => PodTemplate::RESOURCE.group,
        Kind::Deployment => Deployment::RESOURCE.group,
        Kind::StatefulSet => StatefulSet::RESOURCE.group,
        Kind::ReplicaSet => ReplicaSet::RESOURCE.group,
    }
}

/// What the watch of a kind would say of this object: that it is there.
///
/// # Errors
/// The field that has not the form it should, or that makes no sense, and why.
pub fn applied(
    kind: Kind,
    object: serde_json::Value,
    interner: &Interner,
) -> Result<ClusterEvent, String> {
    match kind {
        Kind::Pod => applied_as::<objects::Pod>(object, interner),
        Kind::Node => applied_as::<objects::Node>(object, interner),
        Kind::NodeClaim => applied_as::<api::NodeClaim>(object, interner),
        Kind::NodePool => applied_as::<api::NodePool>(object, interner),
        Kind::DaemonSet => applied_as::<objects::DaemonSet>(object, interner),
        Kind::Namespace => applied_as::<objects::Namespace>(object, interner),
        Kind::PodDisruptionBudget => applied_as::<objects::PodDisruptionBudget>(object, interner),
        Kind::PersistentVolumeClaim => {
            applied_as::<objects::PersistentVolumeClaim>(object, interner)
        }
        Kind::PersistentVolume => applied_as::<objects::PersistentVolume>(object, interner),
        Kind::StorageClass => applied_as::<objects::StorageClass>(object, interner),
        Kind::CsiNode => applied_as::<objects::CsiNode>(object, interner),
        Kind::VolumeAttachment => applied_as::<objects::VolumeAttachment>(object, interner),
        Kind::CapacityBuffer => applied_as::<api::CapacityBuffer>(object, interner),
        Kind::PodTemplate => applied_as::<PodTemplate>(object, interner),
        Kind::Deployment => applied_as::<Deployment>(object, interner),
        Kind::StatefulSet => applied_as::<StatefulSet>(object, interner),
        Kind::ReplicaSet => applied_as::<ReplicaSet>(object, interner),
    }
}

fn applied_as<T: Watched>(
    object: serde_json::Value,
    interner: &Interner,
) -> Result<ClusterEvent, String> {
    let object: T = serde_path_to_error::deserialize(object).map_err(|error| {
        let problem = error.inner();
        match error.path().to_string().as_str() {
            // The object itself.
            "." => problem.to_string(),
            path => format!("{path}: {problem}"),
        }
    })?;
    Ok(T::event(Change::Applied(object.reduce(interner)?)))
}

/// An object as it came, for kube's watcher: decoded, or why it could not be.
///
/// With `GUARDED` an object that cannot be decoded does not spoil the list that it is in, for the
/// price of decoding twice.
#[derive(Clone, Debug)]
pub(super) struct Decoded<T, const GUARDED: bool> {
    meta: ObjectMeta,
    pub(super) object: Result<T, String>,
}

impl<T: Watched, const GUARDED: bool> Decoded<T, GUARDED> {
    fn of(object: T) -> Self {
        let identity = object.identity();
        Self { meta: object_meta(identity), object: Ok(object) }
    }

    pub(super) fn identity(&self) -> Identity<'_> {
        Identity {
            namespace: self.meta.namespace.as_deref().unwrap_or_default(),
            name: self.meta.name.as_deref().unwrap_or_default(),
            resource_version: self.meta.resource_version.as_deref().unwrap_or_default(),
        }
    }
}

fn object_meta(identity: Identity<'_>) -> ObjectMeta {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    ObjectMeta {
        namespace: text(identity.namespace),
        name: text(identity.name),
        resource_version: text(identity.resource_version),
        ..ObjectMeta::default()
    }
}

impl<'de, T: Watched, const GUARDED: bool> Deserialize<'de> for Decoded<T, GUARDED> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !GUARDED {
            return T::deserialize(deserializer).map(Self::of);
        }
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = |field| value["metadata"][field].as_str().unwrap_or_default().to_owned();
        let (namespace, name, resource_version) =
            (text("namespace"), text("name"), text("resourceVersion"));
        if name.is_empty() {
            return Err(de::Error::custom("an object without metadata.name"));
        }
        Ok(match T::deserialize(value) {
            Ok(object) => Self::of(object),
            Err(error) => Self {
                meta: object_meta(Identity {
                    namespace: &namespace,
                    name: &name,
                    resource_version: &resource_version,
                }),
                object: Err(error.to_string()),
            },
        })
    }
}

impl<T: Watched, const GUARDED: bool> kube::Resource for Decoded<T, GUARDED> {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind(_: &()) -> Cow<'_, str> {
        T::KIND.as_str().into()
    }

    fn group(_: &()) -> Cow<'_, str> {
        T::RESOURCE.group.into()
    }

    fn version(_: &()) -> Cow<'_, str> {
        T::RESOURCE.version.into()
    }

    fn plural(_: &()) -> Cow<'_, str> {
        T::RESOURCE.plural.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}
