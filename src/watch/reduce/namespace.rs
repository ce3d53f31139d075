use berth_solver::model::{Labels, Name};

use crate::watch::Interner;
use crate::watch::objects;

/// The label that every namespace has.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A namespace's name and labels. A manifest need not have the label with its name, which the API
/// server adds.
pub fn namespace(namespace: &objects::Namespace, interner: &Interner) -> (Name, Labels) {
    let meta = &namespace.metadata;
    let own = [(NAME_LABEL, meta.name.as_str())];
    let labels = meta.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    (interner.name(&meta.name), interner.labels(labels.chain(own)))
}
