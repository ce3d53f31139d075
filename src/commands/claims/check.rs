//! Claims in files: what is wrong with them, who would serve them, and what an update would do.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;

use super::CheckArguments;
use super::chooser::{Chooser, Cluster};
use crate::claims::choice::Choice;
use crate::claims::claim::Claim;
use crate::claims::definition::{Change as Allowed, Definition};
use crate::claims::files::{self, Platform, Written};
use crate::claims::money::Monthly;
use crate::claims::schema::Problem;
use crate::commands::Failure;
use crate::manifests::ManifestError;

/// What was found out.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) claims: Vec<Checked>,
    pub(super) removed: Vec<Removed>,
}

/// A claim.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) size: Option<String>,
    pub(super) choice: Option<Choice>,
    pub(super) problems: Vec<ManifestError>,
    /// What an update changes; `None` if it is new, or if there is nothing to compare with.
    pub(super) update: Option<Vec<String>>,
}

/// A claim that was there before.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// What becomes of what it stood for.
    pub(super) retain: bool,
}

impl Report {
    /// What all claims cost together in a month.
    pub(super) fn price(&self) -> Monthly {
        self.claims.iter().filter_map(|one| Some(one.choice.as_ref()?.price)).sum()
    }

    /// The exit status, as an error that names the first problem.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        let mut problems = self.claims.iter().flat_map(|one| &one.problems);
        let Some(first) = problems.next() else { return Ok(()) };
        let more = match problems.count() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Err(Failure::BadInput(anyhow!("{first}{more}")))
    }
}

pub(super) fn check(arguments: &CheckArguments) -> Result<Report, Failure> {
    let bad = |error: ManifestError| Failure::BadInput(error.into());
    let (mut platform, objects) = files::platform(&arguments.claims).map_err(bad)?;
    if !arguments.platform.is_empty() {
        let (more, _) = files::platform(&arguments.platform).map_err(bad)?;
        platform.kinds.extend(more.kinds);
        platform.providers.extend(more.providers);
        platform.namespaces.extend(more.namespaces);
    }
    if platform.kinds.is_empty() {
        return Err(Failure::BadInput(anyhow!(
            "there is no ClaimDefinition in these files: expected some, or --platform with them"
        )));
    }
    let mut previous: BTreeMap<Key, Written> = BTreeMap::new();
    if !arguments.previous.is_empty() {
        let (_, objects) = files::platform(&arguments.previous).map_err(bad)?;
        let written = files::claims(&platform, objects);
        previous.extend(written.into_iter().map(|one| (key(&one), one)));
    }
    let cluster = Cluster::read(arguments)?;
    let mut chooser = Chooser::new(&platform, cluster);
    let written = files::claims(&platform, objects);
    let stay: BTreeSet<Key> = written.iter().map(key).collect();
    let before = previous.iter().filter(|(key, _)| stay.contains(key));
    chooser
        .look_back(before.filter_map(|(key, one)| Some((key.clone(), one.claim.as_ref().ok()?))));
    let mut seen: BTreeMap<Key, (String, u64)> = BTreeMap::new();
    let mut claims = Vec::new();
    for written in written {
        let (file, line) = written.place();
        let place = (file.to_owned(), line);
        let before = previous.remove(&key(&written));
        let mut checked = check_one(&platform, &mut chooser, &written, before.as_ref());
        if !arguments.previous.is_empty() && before.is_none() {
            checked.update = None;
        }
        if let Some((file, line)) = seen.insert(key(&written), place) {
            let message = format!("is there already, {file} line {line}: expected it once");
            checked.problems.push(written.error(&Problem::at("", message)));
        }
        claims.push(checked);
    }
    let removed = previous.into_values().map(|written| removed(&platform, &written)).collect();
    Ok(Report { claims, removed })
}

/// Group and kind, namespace and name.
pub(super) type Key = ((String, String), (String, String));

fn key(written: &Written) -> Key {
    (written.kind.clone(), written.key())
}

fn removed(platform: &Platform, written: &Written) -> Removed {
    let (namespace, name) = written.key();
    let by_default = platform.kinds.get(&written.kind).is_none_or(|kind| kind.definition.retain);
    let retain = written.claim.as_ref().map_or(by_default, |claim| claim.retain);
    Removed { kind: written.kind.1.clone(), namespace, name, retain }
}

fn check_one(
    platform: &Platform,
    chooser: &mut Chooser<'_>,
    written: &Written,
    before: Option<&Written>,
) -> Checked {
    let (file, line) = written.place();
    let (namespace, name) = written.key();
    let mut checked = Checked {
        file: file.to_owned(),
        line,
        kind: written.kind.1.clone(),
        namespace,
        name,
        size: None,
        choice: None,
        problems: Vec::new(),
        update: None,
    };
    let Some(kind) = platform.kinds.get(&written.kind) else { return checked };
    let claim = match &written.claim {
        Ok(claim) => claim,
        Err(problems) => {
            checked.problems.clone_from(problems);
            return checked;
        }
    };
    checked.size = Some(claim.size.clone());
    let mut refused = Vec::new();
    if let Some(Ok(before)) = before.map(|before| before.claim.as_ref()) {
        let (changes, problems) = compare(&kind.definition, before, claim);
        checked.update = Some(changes);
        refused = problems;
    }
    match chooser.choose(&key(written), claim) {
        Ok(choice) => {
            // What may not be changed at all is not held back besides.
            if let Some(held) = choice.held.as_ref().filter(|_| refused.is_empty()) {
                refused.push(Problem::at("/spec/parameters", held.to_string()));
            }
            checked.choice = Some(choice);
        }
        Err(problem) => refused.insert(0, Problem::at("", problem)),
    }
    checked.problems.extend(refused.iter().map(|problem| written.error(problem)));
    checked
}

/// What an update changes, and what it may not change.
fn compare(definition: &Definition, before: &Claim, after: &Claim) -> (Vec<String>, Vec<Problem>) {
    let mut changes = Vec::new();
    let mut refused = Vec::new();
    if before.size != after.size {
        let change = format!("{} becomes {}", before.size, after.size);
        match definition.service.size_change() {
            Allowed::Never => refused.push(immutable("size", &change, "it is immutable")),
            _ => changes.push(format!("size: {change}, in place")),
        }
    }
    for parameter in &definition.parameters {
        let name = parameter.known.name;
        let (was, is) = (before.parameters.get(name), after.parameters.get(name));
        if was == is {
            continue;
        }
        let shown = |value: Option<&serde_json::Value>| {
            value.map_or_else(|| "nothing".to_owned(), ToString::to_string)
        };
        let change = format!("{} becomes {}", shown(was), shown(is));
        let grows = before.number(name) < after.number(name) && was.is_some();
        match parameter.known.change {
            Allowed::Free => changes.push(format!("{name}: {change}, in place")),
            Allowed::Grow if grows => changes.push(format!("{name}: {change}, in place")),
            Allowed::Grow => refused.push(immutable(name, &change, "it can only grow")),
            Allowed::Never => refused.push(immutable(name, &change, "it is immutable")),
        }
    }
    if before.secret.is_some() && before.secret != after.secret {
        let change = "another Secret";
        refused.push(Problem::at(
            "/spec/writeConnectionSecretToRef",
            format!("{change}: it is immutable, so that this would take another claim"),
        ));
    }
    if before.adopt != after.adopt {
        let message = "it is immutable, so that this would take another claim";
        refused.push(Problem::at("/spec/adopt", message));
    }
    if before.retain != after.retain {
        let policy = |retain: bool| if retain { "Retain" } else { "Delete" };
        let (was, is) = (policy(before.retain), policy(after.retain));
        changes.push(format!("deletionPolicy: {was} becomes {is}"));
    }
    (changes, refused)
}

fn immutable(name: &str, change: &str, why: &str) -> Problem {
    let message = format!(
        "{change}: {why}, so that this would take another claim (a replacement, which moves no data)"
    );
    Problem::at(&format!("/spec/parameters/{name}"), message)
}
