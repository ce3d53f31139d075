//! The answers that speak of every candidate.
//!
//! They are written here, for thousands of names take four times as long through `serde`, which looks
//! for something to escape byte by byte, in the names of fields, too.

use berth_solver::placement::Refusal;
use serde_json::Value;

/// `ExtenderFilterResult`.
#[derive(Debug)]
pub(super) struct FilterResult<'a> {
    nodes: Option<&'a Value>,
    node_names: Option<Vec<&'a str>>,
    refused: Vec<(&'a str, Refusal)>,
    error: &'a str,
}

impl<'a> FilterResult<'a> {
    /// Names what passes, and every other one with the reason.
    pub(super) fn of(candidates: &[&'a str], verdicts: Vec<Option<Refusal>>) -> Self {
        let mut passed = Vec::with_capacity(candidates.len());
        let mut refused = Vec::new();
        for (&candidate, verdict) in candidates.iter().zip(verdicts) {
            match verdict {
                None => passed.push(candidate),
                Some(refusal) => refused.push((candidate, refusal)),
            }
        }
        Self { node_names: Some(passed), refused, ..Self::error("") }
    }

    /// Gives all nodes back.
    pub(super) fn echo(nodes: &'a Value) -> Self {
        Self { nodes: Some(nodes), ..Self::error("") }
    }

    /// Says what is wrong. kube-scheduler throws the body of every status but 200 away.
    pub(super) const fn error(message: &'a str) -> Self {
        Self { nodes: None, node_names: None, refused: Vec::new(), error: message }
    }

    /// Adds it to an answer.
    ///
    /// Refused nodes are "unresolvable": the pod fits on each of them as they are, so evicting
    /// other pods there cannot help, and kube-scheduler's preemption reports an error for a node
    /// on which it finds no pod to evict.
    pub(super) fn write(&self, body: &mut Vec<u8>) -> serde_json::Result<()> {
        body.extend_from_slice(br#"{"Nodes":"#);
        serde_json::to_writer(&mut *body, &self.nodes)?;
        body.extend_from_slice(br#","NodeNames":"#);
        match &self.node_names {
            None => body.extend_from_slice(b"null"),
            Some(names) => list(body, *b"[]", names, |body, name| text(body, name))?,
        }
        body.extend_from_slice(br#","FailedNodes":{},"FailedAndUnresolvableNodes":"#);
        list(body, *b"{}", &self.refused, |body, (name, refusal)| {
            text(body, name)?;
            body.push(b':');
            text(body, refusal.message())
        })?;
        body.extend_from_slice(br#","Error":"#);
        text(body, self.error)?;
        body.push(b'}');
        Ok(())
    }
}

/// `HostPriorityList`: candidates and their scores.
#[derive(Debug)]
pub(super) struct HostPriorities<'a>(pub(super) Vec<(&'a str, i64)>);

impl HostPriorities<'_> {
    /// Adds it to an answer.
    pub(super) fn write(&self, body: &mut Vec<u8>) -> serde_json::Result<()> {
        list(body, *b"[]", &self.0, |body, (host, score)| {
            body.extend_from_slice(br#"{"Host":"#);
            text(body, host)?;
            body.extend_from_slice(br#","Score":"#);
            serde_json::to_writer(&mut *body, score)?;
            body.push(b'}');
            Ok(())
        })
    }
}

/// Writes entries with commas between them, within these brackets.
fn list<T>(
    body: &mut Vec<u8>,
    [opening, closing]: [u8; 2],
    entries: &[T],
    write: impl Fn(&mut Vec<u8>, &T) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    body.push(opening);
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        write(body, entry)?;
    }
    body.push(closing);
    Ok(())
}

fn text(body: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    // No early end: so the compiler looks at many bytes at once.
    let plain = |byte: u8| (byte >= b' ') & (byte != b'"') & (byte != b'\\');
    if !text.bytes().fold(true, |all, byte| all & plain(byte)) {
        return serde_json::to_writer(body, text);
    }
    body.push(b'"');
    body.extend_from_slice(text.as_bytes());
    body.push(b'"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn read(write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> Value {
        let mut body = Vec::new();
        write(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    proptest! {
        #[test]
        fn whatever_nodes_are_called_answers_are_json(
            scores in prop::collection::btree_map(".*", any::<i64>(), 0..5),
            passes in prop::collection::vec(any::<bool>(), 5),
            error in ".*",
        ) {
            let list = HostPriorities(scores.iter().map(|(host, score)| (&**host, *score)).collect());
            let entries = scores.iter().map(|(host, score)| json!({ "Host": host, "Score": score }));
            prop_assert_eq!(read(|body| list.write(body)), Value::from_iter(entries));

            let names: Vec<&str> = scores.keys().map(String::as_str).collect();
            let verdicts = passes.iter().map(|passes| (!passes).then_some(Refusal::Held));
            let result = FilterResult::of(&names, verdicts.take(names.len()).collect());
            let sorted = |wanted: bool| {
                let both = names.iter().zip(&passes).filter(move |(_, passes)| **passes == wanted);
                both.map(|(name, _)| name.to_string())
            };
            let refused = sorted(false).map(|name| (name, Refusal::Held.message().into()));
            let expected = json!({
                "Nodes": null,
                "NodeNames": sorted(true).collect::<Vec<_>>(),
                "FailedNodes": {},
                "FailedAndUnresolvableNodes": refused.collect::<Map<_, _>>(),
                "Error": "",
            });
            prop_assert_eq!(read(|body| result.write(body)), expected);
            let failed = read(|body| FilterResult::error(&error).write(body));
            prop_assert_eq!(&failed["Error"], &json!(error));
            prop_assert_eq!(&failed["NodeNames"], &Value::Null);
        }
    }
}
