//! Any trace as Berth's own CSV.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::io::{self, Read, Write};

use berth_solver::model::{Name, Timestamp};
use ruzstd::encoding::{CompressionLevel, compress};

use super::shapes::GPU_PRODUCT_LABEL;
use super::{Records, TraceError, TraceRecord, TraceShape};

/// The columns that a trace needs beside those that every trace has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    used: BTreeSet<Optional>,
    resources: BTreeSet<Name>,
    /// Pods that take several models of cards: a table cannot say so, and they take any there.
    pub any_model: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Optional {
    Namespace,
    Start,
    Gpu,
    GpuMilli,
    EphemeralMib,
    Priority,
    NodeSelector,
    ZoneSpread,
    HostSpread,
    HostAntiAffinity,
    CapacityType,
    MaxPerNode,
}

impl Optional {
    const ALL: [Self; 12] = [
        Self::Namespace,
        Self::Start,
        Self::Gpu,
        Self::GpuMilli,
        Self::EphemeralMib,
        Self::Priority,
        Self::NodeSelector,
        Self::ZoneSpread,
        Self::HostSpread,
        Self::HostAntiAffinity,
        Self::CapacityType,
        Self::MaxPerNode,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Start => "start_s",
            Self::Gpu => "gpu",
            Self::GpuMilli => "gpu_milli",
            Self::EphemeralMib => "ephemeral_mib",
            Self::Priority => "priority",
            Self::NodeSelector => "node_selector",
            Self::ZoneSpread => "zone_spread",
            Self::HostSpread => "host_spread",
            Self::HostAntiAffinity => "host_anti_affinity",
            Self::CapacityType => "capacity_type",
            Self::MaxPerNode => "max_per_node",
        }
    }

    /// The cell; empty where it is the default.
    fn cell(self, record: &TraceRecord) -> String {
        let shape = &record.shape;
        let count = |count: Option<u32>| count.map_or_else(String::new, |count| count.to_string());
        let amount = |amount: i64| if amount == 0 { String::new() } else { amount.to_string() };
        match self {
            Self::Namespace if record.namespace == "default" => String::new(),
            Self::Namespace => record.namespace.to_string(),
            Self::Start => record.start.map(seconds).unwrap_or_default(),
            Self::Gpu => amount(shape.gpu),
            Self::GpuMilli if shape.gpu != 1 || shape.gpu_milli == 1_000 => String::new(),
            Self::GpuMilli => shape.gpu_milli.to_string(),
            Self::EphemeralMib => amount(shape.ephemeral_mib),
            Self::Priority => amount(i64::from(shape.priority)),
            Self::NodeSelector => selector(shape),
            Self::ZoneSpread => count(shape.zone_spread),
            Self::HostSpread => count(shape.host_spread),
            Self::HostAntiAffinity if shape.host_anti_affinity => "true".to_owned(),
            Self::HostAntiAffinity => String::new(),
            Self::CapacityType => {
                shape.capacity_type.map_or_else(String::new, |one| one.as_str().to_owned())
            }
            Self::MaxPerNode => count(shape.max_per_node),
        }
    }
}

fn selector(shape: &TraceShape) -> String {
    let model = match &shape.gpu_models[..] {
        [only] => Some((Name::from(GPU_PRODUCT_LABEL), only.clone())),
        _ => None,
    };
    let labels = shape.node_selector.iter().cloned().chain(model);
    labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(";")
}

impl Columns {
    /// What these pods need.
    ///
    /// # Errors
    /// For the first thing that makes no sense.
    pub fn of(records: Records) -> Result<Self, TraceError> {
        let mut columns = Self::default();
        for record in records {
            let record = record?;
            for one in Optional::ALL {
                if !columns.used.contains(&one) && !one.cell(&record).is_empty() {
                    columns.used.insert(one);
                }
            }
            for (name, _) in &record.shape.resources {
                if !columns.resources.contains(name) {
                    columns.resources.insert(name.clone());
                }
            }
            columns.any_model += u64::from(record.shape.gpu_models.len() > 1);
        }
        Ok(columns)
    }

    fn header(&self) -> String {
        let mut text = "name,workload,submit_s,end_s,cpu_milli,memory_mib".to_owned();
        for one in &self.used {
            text.push(',');
            text.push_str(one.name());
        }
        for name in &self.resources {
            // Writing to a string does not fail.
            let _ = write!(text, ",resource/{name}");
        }
        text.push('\n');
        text
    }

    fn row(&self, record: &TraceRecord) -> String {
        let shape = &record.shape;
        let end = record.end.map(seconds).unwrap_or_default();
        let mut text = format!(
            "{},{},{},{end},{},{}",
            record.name,
            record.workload,
            seconds(record.submit),
            shape.cpu_milli,
            shape.memory_mib
        );
        for one in &self.used {
            text.push(',');
            text.push_str(&one.cell(record));
        }
        for name in &self.resources {
            let amount = shape.resources.iter().find(|(other, _)| other == name);
            let _ = match amount {
                Some((_, amount)) => write!(text, ",{amount}"),
                None => write!(text, ","),
            };
        }
        text.push('\n');
        text
    }
}

/// Seconds, with as many decimals as are needed.
fn seconds(at: Timestamp) -> String {
    let millis = at.as_millis();
    let (sign, millis) = (if millis < 0 { "-" } else { "" }, millis.unsigned_abs());
    let text = format!("{sign}{}.{:03}", millis / 1_000, millis % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Why a trace could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The trace that is read makes no sense.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// It cannot be written.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Rows as they are read.
struct Rows<'a> {
    records: Records,
    columns: &'a Columns,
    waiting: VecDeque<u8>,
    count: u64,
    broken: Option<TraceError>,
}

impl Read for Rows<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.waiting.len() < buffer.len() {
            match self.records.next() {
                Some(Ok(record)) => {
                    self.waiting.extend(self.columns.row(&record).bytes());
                    self.count += 1;
                }
                Some(Err(error)) => {
                    self.broken = Some(error);
                    break;
                }
                None => break,
            }
        }
        self.waiting.read(buffer)
    }
}

/// Writes a trace, compressed with Zstandard if asked to. Returns how many pods it has.
///
/// # Errors
/// When what is read makes no sense, or cannot be written; what was written until then stays.
pub fn write(
    records: Records,
    columns: &Columns,
    compressed: bool,
    output: &mut dyn Write,
) -> Result<u64, WriteError> {
    let waiting = columns.header().into_bytes().into();
    let mut rows = Rows { records, columns, waiting, count: 0, broken: None };
    if compressed {
        // The encoder does not say when it cannot write.
        let mut kept = Kept { output: &mut *output, error: None };
        compress(&mut rows, &mut kept, CompressionLevel::Fastest);
        if let Some(error) = kept.error {
            return Err(error.into());
        }
    } else {
        io::copy(&mut rows, output)?;
    }
    output.flush()?;
    match rows.broken {
        Some(error) => Err(error.into()),
        None => Ok(rows.count),
    }
}

/// Keeps the first error, and takes everything from then on.
struct Kept<'a> {
    output: &'a mut dyn Write,
    error: Option<io::Error>,
}

impl Write for Kept<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.error.is_none()
            && let Err(error) = self.output.write_all(bytes)
        {
            self.error = Some(error);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
