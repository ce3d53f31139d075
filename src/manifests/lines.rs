//! Where in a file a field stands.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::documents;
use super::object::Origin;

/// The line of a field (a JSON pointer) of an object, or of what is nearest above it and is there.
/// The file is read again: only who has made a mistake waits for it.
pub(super) fn of(origin: &Origin, pointer: &str) -> Option<u64> {
    let (first, document) = documents::document_at(Path::new(&*origin.file), origin.line)?;
    let root: Spanned<Tree> = serde_saphyr::from_str(&document).ok()?;
    let mut line = None;
    let mut at = &root.value;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let Some(next) = at.0.get(&part) else { break };
        line = Some(next.referenced.line());
        at = &next.value;
    }
    Some(first + line?.saturating_sub(1))
}

/// Values by key or index, each with its place.
struct Tree(BTreeMap<String, Spanned<Tree>>);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Values;

        impl<'de> Visitor<'de> for Values {
            type Value = Tree;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut values = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    values.insert(key, map.next_value()?);
                }
                Ok(Tree(values))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
                let mut values = BTreeMap::new();
                while let Some(value) = list.next_element()? {
                    values.insert(values.len().to_string(), value);
                }
                Ok(Tree(values))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree(BTreeMap::new()))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree(BTreeMap::new()))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
                Ok(Tree(BTreeMap::new()))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree(BTreeMap::new()))
            }

            fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
                Ok(Tree(BTreeMap::new()))
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree(BTreeMap::new()))
            }

            fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Tree, D::Error> {
                value.deserialize_any(self)
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                value: D,
            ) -> Result<Tree, D::Error> {
                IgnoredAny::deserialize(value)?;
                Ok(Tree(BTreeMap::new()))
            }
        }

        deserializer.deserialize_any(Values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_a_line_and_what_is_missing_has_that_of_its_parent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("objects.yaml");
        let text = "a: 1\n---\n# two\nkind: X\nspec:\n  list:\n  - one\n  - b: 2\n    c/d: true\n  flow: {x: 1}\n";
        std::fs::write(&file, text).unwrap();
        let origin = Origin { file: file.display().to_string().into(), line: 4 };
        for (pointer, line) in [
            ("/kind", Some(4)),
            ("/spec/list/1/b", Some(8)),
            ("/spec/list/1/c~1d", Some(9)),
            ("/spec/list/1/none/such", Some(8)),
            ("/spec/flow/x", Some(10)),
            ("/spec/none", Some(6)),
            ("/none", None),
            ("", None),
        ] {
            assert_eq!(of(&origin, pointer), line, "{pointer}");
        }
    }
}
