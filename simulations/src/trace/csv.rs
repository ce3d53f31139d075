//! Berth's own workload trace.
//!
//! A table with the header `name,workload,submit_s,end_s,cpu_milli,memory_mib` and optionally
//! `namespace,start_s,gpu,gpu_milli,ephemeral_mib,priority,node_selector,zone_spread,host_spread,`
//! `host_anti_affinity,capacity_type,max_per_node,resource/NAME`, in any order, one row a pod.
//!
//! Times are seconds from the start of the trace, fractions of them allowed. A negative
//! `submit_s` is a pod that ran already at the start; an empty `end_s` one that runs on past the
//! end. `start_s` is when the pod found a node: a replay, in which it may wait for longer or less,
//! has it run for as long as from then to its end (without it: as from `submit_s`). `gpu` counts
//! graphics cards; `gpu_milli` is the share of one card in thousandths, for
//! pods with one card (default 1000, a whole one). `node_selector` is `key=value;key=value`,
//! `host_anti_affinity` is `true` or `false`. An empty cell is the default: the namespace
//! `default`, nothing of a resource, no rule. Namespace and name together are unique.
//!
//! [`Reader::in_order`] refuses rows whose times go backwards. It needs the names of those pods only
//! that are there: a name may come again once its pod has ended.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::io::BufRead;
use std::path::Path;

use berth_solver::model::{Name, Timestamp, well_known};

use super::input;
use super::table::{Problem, Row, Table};
use super::{TraceError, TraceRecord, TraceShape};

const REQUIRED: [&str; 6] = ["name", "workload", "submit_s", "end_s", "cpu_milli", "memory_mib"];
const OPTIONAL: [&str; 12] = [
    "namespace",
    "start_s",
    "gpu",
    "gpu_milli",
    "ephemeral_mib",
    "priority",
    "node_selector",
    "zone_spread",
    "host_spread",
    "host_anti_affinity",
    "capacity_type",
    "max_per_node",
];
const RESOURCE_PREFIX: &str = "resource/";
const WHOLE_GPU: i64 = 1_000;

/// Whether a line is the header of such a table.
pub(super) fn is_header(line: &str) -> bool {
    let mut names = line.split(',').map(str::trim);
    REQUIRED.iter().filter(|name| names.clone().any(|other| other == **name)).count() >= 4
        && names.any(|name| name == "workload" || name == "submit_s")
}

/// Rows in the order of their times.
#[derive(Default)]
struct Order {
    last: Option<Timestamp>,
    ends: BinaryHeap<Reverse<(Timestamp, Name, Name)>>,
}

/// Reads a workload trace row by row.
pub struct Reader {
    table: Table,
    resources: Vec<(String, Name)>,
    /// Names that were there, to refuse them a second time.
    names: HashSet<(Name, Name)>,
    /// Where rows must be in order: the time of the last, and when which name is free again.
    order: Option<Order>,
    /// Texts that many rows share.
    texts: HashSet<Name>,
    over: bool,
}

impl Reader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, or its header is not right.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        Self::of(input::name_of(path), input::open(path)?)
    }

    /// Reads from anything; `file` names it in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_reader(
        file: &str,
        source: impl BufRead + Send + 'static,
    ) -> Result<Self, TraceError> {
        let text = input::plain(source).map_err(|error| TraceError::unreadable(file, &error))?;
        Self::of(file.to_owned(), text)
    }

    fn of(file: String, text: Box<dyn BufRead + Send>) -> Result<Self, TraceError> {
        let table = Table::open(file, text, &REQUIRED, &OPTIONAL, Some(RESOURCE_PREFIX))?;
        let resources = table
            .columns_with(RESOURCE_PREFIX)
            .into_iter()
            .map(|(column, resource)| (column, Name::from(resource)))
            .collect();
        let (names, texts) = (HashSet::new(), HashSet::new());
        Ok(Self { table, resources, names, order: None, texts, over: false })
    }

    /// Refuses rows that are not in the order of their times.
    #[must_use]
    pub fn in_order(mut self) -> Self {
        self.order = Some(Order::default());
        self
    }

    fn read(&mut self) -> Result<Option<TraceRecord>, TraceError> {
        let Self { table, resources, names, order, texts, .. } = self;
        let Some(row) = table.next_row()? else { return Ok(None) };
        let record = record(&row, resources, texts).map_err(|problem| row.error(problem))?;
        if let Some(order) = order {
            order.follow(&record, names).map_err(|problem| row.error(problem))?;
        }
        if !names.insert((record.namespace.clone(), record.name.clone())) {
            let problem = format!(
                "{}/{} is there already: expected each pod once",
                record.namespace, record.name
            );
            return Err(row.error(Problem::in_column("name", problem)));
        }
        Ok(Some(record))
    }
}

impl Order {
    /// Takes a row in, and forgets the names of pods that have ended by then.
    fn follow(
        &mut self,
        record: &TraceRecord,
        names: &mut HashSet<(Name, Name)>,
    ) -> Result<(), Problem> {
        if let Some(last) = self.last.filter(|last| record.submit < *last) {
            let problem = format!(
                "{} is before the row above, {last}: expected rows in the order of submit_s, as \
                 `berth trace convert` writes them",
                record.submit
            );
            return Err(Problem::in_column("submit_s", problem));
        }
        self.last = Some(record.submit);
        while let Some(Reverse((end, ..))) = self.ends.peek()
            && *end <= record.submit
            && let Some(Reverse((_, namespace, name))) = self.ends.pop()
        {
            names.remove(&(namespace, name));
        }
        if let Some(end) = record.end {
            self.ends.push(Reverse((end, record.namespace.clone(), record.name.clone())));
        }
        Ok(())
    }
}

impl Iterator for Reader {
    type Item = Result<TraceRecord, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let record = self.read().transpose();
        self.over = !matches!(record, Some(Ok(_)));
        record
    }
}

fn record(
    row: &Row<'_>,
    resources: &[(String, Name)],
    texts: &mut HashSet<Name>,
) -> Result<TraceRecord, Problem> {
    let namespace = match row.text("namespace") {
        "" => "default",
        _ => row.name("namespace")?,
    };
    let submit = row.millis("submit_s")?;
    let time = |column| match row.text(column) {
        "" => Ok(None),
        _ => row.millis(column).map(Some),
    };
    let (start, end) = (time("start_s")?, time("end_s")?);
    if let Some(start) = start
        && (start < submit || end.is_some_and(|end| end < start))
    {
        let text = row.text("start_s");
        let problem = format!(
            "{text} is before submit_s or after end_s: expected when the pod found a node, or nothing"
        );
        return Err(Problem::in_column("start_s", problem));
    }
    if let Some(end) = end
        && (end < submit || end < 0)
    {
        let text = row.text("end_s");
        let problem =
            format!("{text} is before submit_s or 0: expected the end of the pod, or nothing");
        return Err(Problem::in_column("end_s", problem));
    }
    Ok(TraceRecord {
        namespace: shared(texts, namespace),
        name: Name::from(row.name("name")?),
        workload: shared(texts, row.name("workload")?),
        submit: Timestamp::from_millis(submit),
        start: start.map(Timestamp::from_millis),
        end: end.map(Timestamp::from_millis),
        shape: shape(row, resources, texts)?,
    })
}

fn shared(texts: &mut HashSet<Name>, text: &str) -> Name {
    if let Some(known) = texts.get(text) {
        return known.clone();
    }
    let name = Name::from(text);
    texts.insert(name.clone());
    name
}

fn shape(
    row: &Row<'_>,
    resources: &[(String, Name)],
    texts: &mut HashSet<Name>,
) -> Result<TraceShape, Problem> {
    let (gpu, gpu_milli) = gpu(row)?;
    let mut amounts = Vec::new();
    for (column, resource) in resources {
        let amount = row.amount(column)?;
        if amount != 0 {
            amounts.push((resource.clone(), amount));
        }
    }
    let capacity_type = match row.text("capacity_type") {
        "" => None,
        text => Some(text.parse().map_err(|problem| Problem::in_column("capacity_type", problem))?),
    };
    let node_selector = node_selector(row, texts)?;
    let selects = |key| node_selector.iter().any(|(other, _)| *other == key);
    if capacity_type.is_some() && selects(well_known::CAPACITY_TYPE_LABEL) {
        let problem = "node_selector says it already: expected it in one of the two".to_owned();
        return Err(Problem::in_column("capacity_type", problem));
    }
    Ok(TraceShape {
        cpu_milli: row.required_amount("cpu_milli")?,
        memory_mib: row.required_amount("memory_mib")?,
        gpu,
        gpu_milli,
        gpu_models: Vec::new(),
        ephemeral_mib: row.amount("ephemeral_mib")?,
        priority: priority(row)?,
        node_selector,
        zone_spread: row.count("zone_spread")?,
        host_spread: row.count("host_spread")?,
        host_anti_affinity: flag(row, "host_anti_affinity")?,
        capacity_type,
        max_per_node: row.count("max_per_node")?,
        resources: amounts,
    })
}

/// How many cards, and the share of each.
fn gpu(row: &Row<'_>) -> Result<(i64, i64), Problem> {
    let gpu = row.amount("gpu")?;
    let text = row.text("gpu_milli");
    let share = match text {
        "" => WHOLE_GPU,
        _ => row.required_amount("gpu_milli")?,
    };
    if gpu == 0 && (text.is_empty() || share == 0) {
        return Ok((0, 0));
    }
    let possible = if gpu == 1 { 1..=WHOLE_GPU } else { WHOLE_GPU..=WHOLE_GPU };
    if gpu > 0 && possible.contains(&share) {
        return Ok((gpu, share));
    }
    Err(Problem::in_column(
        "gpu_milli",
        format!(
            "{text:?} is no share of {gpu} cards: expected 1 to 1000 where gpu is 1, 1000 or \
             nothing where it is more, 0 or nothing where it is 0"
        ),
    ))
}

fn priority(row: &Row<'_>) -> Result<i32, Problem> {
    match row.text("priority") {
        "" => Ok(0),
        text => text.parse().map_err(|_| {
            let problem = format!("{text:?} is no priority: expected a whole number");
            Problem::in_column("priority", problem)
        }),
    }
}

fn flag(row: &Row<'_>, column: &str) -> Result<bool, Problem> {
    match row.text(column) {
        "true" => Ok(true),
        "" | "false" => Ok(false),
        text => {
            let problem = format!("{text:?} is neither: expected true, false or nothing");
            Err(Problem::in_column(column, problem))
        }
    }
}

fn node_selector(row: &Row<'_>, texts: &mut HashSet<Name>) -> Result<Vec<(Name, Name)>, Problem> {
    const COLUMN: &str = "node_selector";
    let refuse = |problem: String| Problem::in_column(COLUMN, problem);
    let mut labels: Vec<(Name, Name)> = Vec::new();
    for pair in row.text(COLUMN).split(';').filter(|_| !row.text(COLUMN).is_empty()) {
        let (key, value) = pair
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
            .filter(|(key, value)| !key.is_empty() && !value.contains('='))
            .ok_or_else(|| refuse(format!("{pair:?} is no label: expected key=value;key=value")))?;
        if labels.iter().any(|(other, _)| *other == key) {
            return Err(refuse(format!("{key} is selected twice: expected it once")));
        }
        labels.push((shared(texts, key), shared(texts, value)));
    }
    labels.sort_unstable();
    Ok(labels)
}
