//! Files as objects: documents, lists, and where each of them begins.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter};

use super::ManifestError;
use super::object::{Object, Origin};

/// A larger file is none that people apply.
const LARGEST_FILE: u64 = 512 << 20;
/// Objects lie in one another so deep at most.
const DEEPEST: usize = 128;

/// Appends the objects of a file.
pub(super) fn read(path: &Path, objects: &mut Vec<Object>) -> Result<(), ManifestError> {
    let file: Arc<str> = path.display().to_string().into();
    let text = text(path, &file)?;
    if path.extension().is_some_and(|ending| ending == "json") {
        let value = serde_json::from_str(&text).map_err(|error| {
            let line = u64::try_from(error.line()).unwrap_or(u64::MAX);
            Origin { file: Arc::clone(&file), line }.error(format!("is no JSON: {error}"))
        })?;
        return take(value, Origin { file, line: 1 }, objects);
    }
    for (line, document) in documents(&text) {
        let origin = Origin { file: Arc::clone(&file), line };
        let value = parse(document, &origin)?;
        take(value, origin, objects)?;
    }
    Ok(())
}

fn text(path: &Path, file: &str) -> Result<String, ManifestError> {
    let fail = |line: Option<u64>, problem: String| ManifestError {
        file: file.to_owned(),
        line,
        object: None,
        problem,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(None, format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(fail(None, "is larger than 512 MiB: expected manifests".to_owned()));
    }
    String::from_utf8(bytes).map(|text| text.trim_start_matches('\u{feff}').to_owned()).map_err(
        |error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64;
            fail(Some(line), "is not UTF-8: expected UTF-8 text".to_owned())
        },
    )
}

/// The document of a file whose content begins on that line, and the line on which its text does.
pub(super) fn document_at(path: &Path, line: u64) -> Option<(u64, String)> {
    let text = text(path, "").ok()?;
    let (_, document) = documents(&text).into_iter().find(|(begins, _)| *begins == line)?;
    let start = document.as_ptr().addr() - text.as_ptr().addr();
    let lines_before = text[..start].bytes().filter(|byte| *byte == b'\n').count() as u64;
    Some((lines_before + 1, document.to_owned()))
}

/// The documents of a YAML file that are not empty, and the line of each on which its content
/// begins.
///
/// A line that begins with three dashes ends a document whatever it stands in: so says YAML.
fn documents(text: &str) -> Vec<(u64, &str)> {
    let mut documents = Vec::new();
    let mut current = Document { start: 0, content: None };
    let mut offset = 0;
    for (number, line) in (1_u64..).zip(text.split_inclusive('\n')) {
        let begins = line
            .strip_prefix("---")
            .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if begins.is_some() {
            current.close(text, offset, &mut documents);
            current = Document { start: offset, content: None };
        }
        let content = begins.unwrap_or(line).trim();
        let is_content =
            !content.is_empty() && !content.starts_with(['#', '%']) && content != "...";
        if is_content && current.content.is_none() {
            current.content = Some(number);
            if begins.is_none() {
                current.start = offset;
            }
        }
        offset += line.len();
    }
    current.close(text, text.len(), &mut documents);
    documents
}

struct Document {
    /// Where its text begins.
    start: usize,
    /// The line of its first content, if it has any.
    content: Option<u64>,
}

impl Document {
    fn close<'a>(&self, text: &'a str, end: usize, documents: &mut Vec<(u64, &'a str)>) {
        if let Some(line) = self.content {
            documents.push((line, &text[self.start..end]));
        }
    }
}

fn parse(document: &str, origin: &Origin) -> Result<Value, ManifestError> {
    // Every node takes at least a byte, but for those that aliases repeat.
    let size = document.len();
    let budget = serde_saphyr::budget! {
        max_events: size.saturating_mul(3).max(1_000_000),
        max_nodes: size.saturating_mul(2).max(250_000),
        max_total_scalar_bytes: size.max(64 << 20),
        max_total_comment_bytes: size.max(64 << 20),
        max_depth: DEEPEST,
    };
    // Nobody who names a node `n` means `false`.
    let options =
        serde_saphyr::options! { budget: budget, strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(document, options).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map_or(0, |location| location.line().saturating_sub(1));
        let at = Origin { file: Arc::clone(&origin.file), line: origin.line + line };
        let message = DefaultMessageFormatter.format_message(error).into_owned();
        at.error(format!("is no YAML: {message}"))
    })
}

/// Takes in a document: an object, or a list of some.
fn take(value: Value, origin: Origin, objects: &mut Vec<Object>) -> Result<(), ManifestError> {
    match value {
        Value::Null => return Ok(()),
        Value::Object(_) => {}
        _ => return Err(origin.error("is no object: expected apiVersion, kind, ...".to_owned())),
    }
    let object = Object::new(value, origin)?;
    let Some(kind) = object.listed_kind().map(str::to_owned) else {
        objects.push(object);
        return Ok(());
    };
    let Object { mut value, origin, .. } = object;
    let api_version = value["apiVersion"].take();
    let Value::Array(items) = value["items"].take() else {
        return Err(origin.error("items is missing: expected the objects of the list".to_owned()));
    };
    for (index, mut item) in items.into_iter().enumerate() {
        if !item.is_object() {
            return Err(origin.error(format!("items[{index}] is no object: expected one")));
        }
        // Items of a list of one kind need not repeat it.
        if !kind.is_empty() && item["kind"].is_null() {
            item["kind"] = Value::from(kind.as_str());
            item["apiVersion"] = api_version.clone();
        }
        take(item, origin.clone(), objects)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_begin_where_their_content_does() {
        let text = "# nothing\n---\n\n# one\na: 1\n--- # two\nb: |\n  ---\n  x\n---\n---\n...\n--- {c: 3}\n";
        let found: Vec<(u64, String)> = documents(text)
            .into_iter()
            .map(|(line, text)| (line, text.replace('\n', "/")))
            .collect();
        assert_eq!(
            found,
            [
                (5, "a: 1/".to_owned()),
                (7, "b: |/  ---/  x/".to_owned()),
                (13, "--- {c: 3}/".to_owned()),
            ]
        );
        assert!(documents("").is_empty());
        assert_eq!(documents("a: 1"), [(1, "a: 1")]);
    }
}
