//! Pod lists of Alibaba's GPU cluster (`openb_pod_list_*.csv`, ATC 2023).
//!
//! Times are the list's own seconds, from 0 on. A pod comes at `creation_time`, finds a node at
//! `scheduled_time` and leaves at `deletion_time`, whether it was ever scheduled or not. Rows are not
//! sorted by time. The list names no workloads: each pod is one of its own. `gpu_spec` names the
//! models of cards that will do, separated by `|`. What `qos` and `pod_phase` say is left out.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::Path;

use berth_solver::model::{Name, Timestamp};

use super::input;
use super::table::{Problem, Row, Table};
use super::{TraceError, TraceRecord, TraceShape};

const COLUMNS: [&str; 11] = [
    "name",
    "cpu_milli",
    "memory_mib",
    "num_gpu",
    "gpu_milli",
    "gpu_spec",
    "qos",
    "pod_phase",
    "creation_time",
    "deletion_time",
    "scheduled_time",
];
const WHOLE_GPU: i64 = 1_000;

/// Whether a line is the header of such a list.
pub(super) fn is_header(line: &str) -> bool {
    let mut names = line.split(',').map(str::trim);
    let mut has = |wanted: &str| names.by_ref().any(|name| name == wanted);
    has("num_gpu") && has("creation_time")
}

/// Reads a pod list row by row.
pub struct Reader {
    table: Table,
    names: HashSet<Name>,
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
        let table = Table::open(file, text, &COLUMNS, &[], None)?;
        Ok(Self { table, names: HashSet::new(), over: false })
    }

    fn read(&mut self) -> Result<Option<TraceRecord>, TraceError> {
        let Self { table, names, .. } = self;
        let Some(row) = table.next_row()? else { return Ok(None) };
        let record = record(&row).map_err(|problem| row.error(problem))?;
        if !names.insert(record.name.clone()) {
            let problem = format!("{} is there already: expected each pod once", record.name);
            return Err(row.error(Problem::in_column("name", problem)));
        }
        Ok(Some(record))
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

fn record(row: &Row<'_>) -> Result<TraceRecord, Problem> {
    let created = time(row, "creation_time")?;
    let scheduled = match row.text("scheduled_time") {
        "" => None,
        _ => Some(not_before(row, "scheduled_time", created)?),
    };
    let deleted = not_before(row, "deletion_time", scheduled.unwrap_or(created))?;
    let name = Name::from(row.name("name")?);
    Ok(TraceRecord {
        namespace: Name::from("default"),
        workload: name.clone(),
        name,
        submit: Timestamp::from_millis(created),
        start: scheduled.map(Timestamp::from_millis),
        end: Some(Timestamp::from_millis(deleted)),
        shape: shape(row)?,
    })
}

fn time(row: &Row<'_>, column: &str) -> Result<i64, Problem> {
    not_before(row, column, 0)
}

fn not_before(row: &Row<'_>, column: &str, earliest: i64) -> Result<i64, Problem> {
    let at = row.millis(column)?;
    if at >= earliest {
        return Ok(at);
    }
    let (text, earliest) = (row.text(column), earliest / 1_000);
    Err(Problem::in_column(column, format!("{text} is too early: expected at least {earliest}")))
}

fn shape(row: &Row<'_>) -> Result<TraceShape, Problem> {
    let (gpu, gpu_milli) = (row.required_amount("num_gpu")?, row.required_amount("gpu_milli")?);
    let possible = match gpu {
        0 => 0..=0,
        1 => 1..=WHOLE_GPU,
        _ => WHOLE_GPU..=WHOLE_GPU,
    };
    if !possible.contains(&gpu_milli) {
        let problem = format!(
            "{gpu_milli} is no share of {gpu} cards: expected 0 of none, 1 to 1000 of one, 1000 \
             of more"
        );
        return Err(Problem::in_column("gpu_milli", problem));
    }
    let mut gpu_models: Vec<Name> =
        row.text("gpu_spec").split('|').filter(|model| !model.is_empty()).map(Name::from).collect();
    gpu_models.sort_unstable();
    gpu_models.dedup();
    Ok(TraceShape {
        cpu_milli: row.required_amount("cpu_milli")?,
        memory_mib: row.required_amount("memory_mib")?,
        gpu,
        gpu_milli,
        gpu_models,
        ..TraceShape::default()
    })
}
