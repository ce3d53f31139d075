//! The file, decoded as it is read.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::history::{History, Lifecycle, Owner};

/// The version that is read.
const VERSION: u64 = 2;
/// One event, or all that is known of one object's pods, may take so many bytes.
const LARGEST_PART: u64 = 64 << 20;
/// After the year 5138 it is a slip of the pen.
const LATEST: i64 = 100_000_000_000;

/// Reads all of it. An error says what is wrong and where.
pub(super) fn read(input: impl BufRead) -> Result<History, String> {
    let meter = Meter::default();
    let metered = Metered { input, meter: meter.clone() };
    let mut decoder = rmp_serde::Deserializer::new(metered);
    let document = Document { meter: &meter };
    let history = document.deserialize(&mut decoder).map_err(|error| {
        format!(
            "at byte {}: {}: expected a trace of SimKube, version {VERSION}",
            meter.all.get(),
            plain(&error)
        )
    })?;
    match decoder.into_inner().input.fill_buf() {
        Ok([]) => Ok(history),
        Ok(_) => Err(format!(
            "at byte {}: goes on after its end: expected nothing more",
            meter.all.get()
        )),
        Err(error) => Err(format!("at byte {}: cannot be read: {error}", meter.all.get())),
    }
}

/// What the decoder says, in a line.
fn plain(error: &rmp_serde::decode::Error) -> String {
    use rmp_serde::decode::Error;
    let text = match error {
        Error::InvalidMarkerRead(inner) | Error::InvalidDataRead(inner) => match inner.kind() {
            io::ErrorKind::UnexpectedEof => "is cut off".to_owned(),
            _ => format!("cannot be read: {inner}"),
        },
        Error::Syntax(problem) => problem.clone(),
        other => format!("is not understood: {other}"),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How much was read.
#[derive(Clone, Default)]
struct Meter {
    all: Rc<Cell<u64>>,
    part: Rc<Cell<u64>>,
}

/// Fails when one part of the file is too large.
struct Metered<R> {
    input: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        let Meter { all, part } = &self.meter;
        all.set(all.get().saturating_add(count as u64));
        part.set(part.get().saturating_add(count as u64));
        if part.get() > LARGEST_PART {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a part has over 64 MiB"));
        }
        Ok(count)
    }
}

/// The whole file.
struct Document<'a> {
    meter: &'a Meter,
}

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = History;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<History, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = History;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map with version, config, events and pod_lifecycles")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<History, A::Error> {
        let (mut history, mut version, mut has_events) = (History::default(), None, false);
        while let Some(key) = map.next_key::<String>()? {
            self.meter.part.set(0);
            match key.as_str() {
                "version" => {
                    let found = map.next_value::<u64>()?;
                    if found != VERSION {
                        return Err(A::Error::custom(format!("version is {found}")));
                    }
                    version = Some(found);
                }
                "config" => history.configure(map.next_value::<Config>()?.templates()),
                "events" => {
                    map.next_value_seed(Events { history: &mut history, meter: self.meter })?;
                    has_events = true;
                }
                "pod_lifecycles" => {
                    map.next_value_seed(Lifecycles { history: &mut history, meter: self.meter })?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let missing = |field| A::Error::custom(format!("{field} is missing"));
        version.ok_or_else(|| missing("version"))?;
        has_events.then_some(history).ok_or_else(|| missing("events"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    tracked_objects: HashMap<String, Tracked>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tracked {
    #[serde(default)]
    pod_spec_template_paths: Option<Vec<String>>,
}

impl Config {
    /// The first path to a pod's template, by kind.
    fn templates(self) -> impl Iterator<Item = (String, String)> {
        self.tracked_objects.into_iter().filter_map(|(kind, tracked)| {
            Some((kind, tracked.pod_spec_template_paths?.into_iter().next()?))
        })
    }
}

#[derive(Deserialize)]
struct Event {
    ts: i64,
    #[serde(default)]
    applied_objs: Vec<Value>,
    #[serde(default)]
    deleted_objs: Vec<Value>,
}

struct Events<'a> {
    history: &'a mut History,
    meter: &'a Meter,
}

impl<'de> DeserializeSeed<'de> for Events<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Events<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut events: A) -> Result<(), A::Error> {
        let (mut number, mut last) = (0_u64, i64::MIN);
        loop {
            self.meter.part.set(0);
            number += 1;
            let refuse = |problem: String| A::Error::custom(format!("event {number}: {problem}"));
            let Some(event) = events.next_element::<Event>()? else { return Ok(()) };
            let at = event.ts;
            if at < last || !(0..LATEST).contains(&at) {
                return Err(refuse(format!("ts is {at}, after {last}: no such time")));
            }
            last = at;
            for object in event.applied_objs {
                self.history.applied(at, object).map_err(refuse)?;
            }
            for object in event.deleted_objs {
                self.history.deleted(at, &object).map_err(refuse)?;
            }
            self.history.saw(at);
        }
    }
}

struct Lifecycles<'a> {
    history: &'a mut History,
    meter: &'a Meter,
}

impl<'de> DeserializeSeed<'de> for Lifecycles<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Lifecycles<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("lifecycles of pods by kind and name of what owns them")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        loop {
            self.meter.part.set(0);
            let Some((kind, name)) = map.next_key::<(String, String)>()? else { return Ok(()) };
            let by_template = map.next_value::<HashMap<u64, Vec<Lifecycle>>>()?;
            let refuse = |problem| A::Error::custom(format!("pods of {kind} {name}: {problem}"));
            let mut all: Vec<Lifecycle> = by_template.into_values().flatten().collect();
            if let Some(wrong) = all.iter().find(|one| !one.is_possible(LATEST)) {
                return Err(refuse(format!("{wrong:?} is no life")));
            }
            all.sort_unstable();
            self.history.lived(Owner { kind, name }, all);
        }
    }
}
