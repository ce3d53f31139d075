//! Which address is which operation.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A call, taken apart.
#[derive(Debug, Default)]
pub struct Request {
    /// What stands for the variable parts of the path.
    pub(crate) params: Vec<String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Request {
    /// A part of the path.
    pub(crate) fn param(&self, index: usize) -> &str {
        self.params.get(index).map_or("", String::as_str)
    }

    /// A parameter of the query.
    pub(crate) fn asked(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A text of the body.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.body.pointer(pointer)?.as_str()
    }

    /// The ids of a list of references in the body.
    pub(crate) fn ids(&self, field: &str) -> Vec<String> {
        let list = self.body.get(field).and_then(Value::as_array);
        let ids = list.into_iter().flatten().filter_map(|item| item.get("id")?.as_str());
        ids.map(str::to_owned).collect()
    }
}

/// An error's status and message.
#[derive(Debug)]
pub struct Refusal(pub(crate) u16, pub(crate) String);

impl Refusal {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self(400, message.into())
    }

    pub(crate) fn not_found(what: &str, id: &str) -> Self {
        Self(404, format!("{what} {id} not found"))
    }

    /// The body that says so.
    pub(crate) fn body(&self) -> Value {
        json!({ "message": self.1 })
    }
}

/// What a call leads to.
pub type Answer = Result<Value, Refusal>;

/// Method, path, the operation's name, and who carries it out. `{}` stands for any one segment.
pub type Route<W> = (&'static str, &'static str, &'static str, fn(&mut W, &Request) -> Answer);

/// The operation at an address, and the path's variable parts. `segments` are decoded.
pub(crate) fn find<W: 'static>(
    routes: &'static [Route<W>],
    method: &str,
    segments: &[String],
) -> Option<(&'static Route<W>, Vec<String>)> {
    routes.iter().find_map(|route| {
        let params = (route.0 == method).then(|| matches(route.1, segments)).flatten()?;
        Some((route, params))
    })
}

fn matches(pattern: &str, segments: &[String]) -> Option<Vec<String>> {
    let parts: Vec<&str> = pattern.split('/').skip(1).collect();
    if parts.len() != segments.len() {
        return None;
    }
    let mut params = Vec::new();
    for (part, segment) in parts.iter().zip(segments) {
        match part.strip_prefix("{}") {
            // `{}:attach` is another operation than `{}`.
            Some("") if segment.contains(':') => return None,
            Some(verb) => params.push(segment.strip_suffix(verb)?.to_owned()),
            None if part == segment => {}
            None => return None,
        }
    }
    Some(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exoscale::ROUTES;

    #[test]
    fn a_verb_after_the_id_is_another_operation() {
        let found = |method: &str, path: &str| {
            let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
            find(ROUTES, method, &segments).map(|(route, params)| (route.2, params.join(" ")))
        };
        let attach = "attach-instance-to-private-network";
        assert_eq!(found("PUT", "private-network/a:attach"), Some((attach, "a".to_owned())));
        assert_eq!(found("PUT", "private-network/a"), None);
        assert_eq!(found("PUT", "instance/a"), Some(("update-instance", "a".to_owned())));
        assert_eq!(found("PUT", "instance/a:stop"), None);
        let template = ("get-active-nodepool-template", "1.36.2 standard".to_owned());
        assert_eq!(found("GET", "sks-template/1.36.2/standard"), Some(template));
        assert_eq!(found("PATCH", "instance/a"), None);
    }
}
