//! What pods are called in a trace.

use std::collections::HashMap;
use std::fmt::Write as _;

use aws_lc_rs::hmac;
use berth_solver::model::{Name, PodKey};

/// So many bytes of a hash are written: two names never share them.
const KEPT: usize = 8;

/// What names are hashed with. Without it nobody can try out whether a name is in a trace.
#[derive(Clone, Debug)]
pub struct Salt(hmac::Key);

impl Salt {
    /// Of these bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    fn hash(&self, text: &str) -> Name {
        let hash = hmac::sign(&self.0, text.as_bytes());
        let text = hash.as_ref()[..KEPT].iter().fold("x".to_owned(), |mut text, byte| {
            // Writing to a String never fails.
            let _ = write!(text, "{byte:02x}");
            text
        });
        text.into()
    }
}

/// Gives out names. No pod gets one that another pod of its namespace had, as a trace wants it.
#[derive(Clone, Debug, Default)]
pub struct Names {
    salt: Option<Salt>,
    given: HashMap<PodKey, u32>,
}

impl Names {
    /// As they are.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Hashed.
    pub fn hashed(salt: Salt) -> Self {
        Self { salt: Some(salt), ..Self::default() }
    }

    /// A namespace's or a workload's name.
    pub fn of(&self, name: &Name) -> Name {
        match &self.salt {
            Some(salt) => salt.hash(name),
            None => name.clone(),
        }
    }

    /// The name of a new pod; namespaces are as [`Self::of`] gives them.
    pub fn of_pod(&mut self, namespace: &Name, name: &Name) -> Name {
        let name = self.of(name);
        let key = PodKey { namespace: namespace.clone(), name };
        let times = self.given.entry(key.clone()).or_default();
        *times += 1;
        if *times == 1 {
            return key.name;
        }
        let again = Name::from(format!("{}.{times}", key.name));
        // Somebody may be called so.
        self.of_pod_as_is(namespace, again)
    }

    fn of_pod_as_is(&mut self, namespace: &Name, name: Name) -> Name {
        let mut key = PodKey { namespace: namespace.clone(), name };
        while self.given.contains_key(&key) {
            key.name = format!("{}.1", key.name).into();
        }
        self.given.insert(key.clone(), 1);
        key.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_pods_of_a_namespace_share_a_name() {
        let mut names = Names::plain();
        let (one, other): (Name, Name) = ("one".into(), "other".into());
        let mut give =
            |namespace: &Name, name: &str| names.of_pod(namespace, &name.into()).to_string();
        let given = [
            give(&one, "db-0"),
            give(&one, "db-0.3"),
            give(&one, "db-0"),
            give(&one, "db-0"),
            give(&other, "db-0"),
        ];
        assert_eq!(given, ["db-0", "db-0.3", "db-0.2", "db-0.3.1", "db-0"]);
    }

    #[test]
    fn a_hash_tells_nothing_without_its_salt_and_equal_names_apart_from_others() {
        let (mut one, other) =
            (Names::hashed(Salt::new(&[1; 32])), Names::hashed(Salt::new(&[2; 32])));
        let (web, shop): (Name, Name) = ("web".into(), "shop".into());
        assert_eq!(one.of(&web), one.of(&web));
        assert_ne!(one.of(&web), one.of(&shop));
        assert_ne!(one.of(&web), other.of(&web));
        assert_eq!(one.of(&web).len(), 1 + 2 * KEPT);
        let first = one.of_pod(&shop, &web);
        assert_eq!(*one.of_pod(&shop, &web), format!("{first}.2"));
    }
}
