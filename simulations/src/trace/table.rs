//! Tables of comma separated values whose header says which column is where.

use std::collections::BTreeMap;
use std::io::BufRead;

use ::csv::{ErrorKind, Position, ReaderBuilder, StringRecord, Terminator, Trim};

use super::TraceError;
use super::input::{Meter, Metered};

/// More of anything is a slip of the pen; it also keeps mebibytes in range.
const LARGEST_AMOUNT: i64 = 1 << 40;
/// A trace of three centuries.
const LONGEST_TIME: f64 = 1e10;
const LONGEST_NAME: usize = 253;

/// What is wrong with a cell or with a row: its column, and the text.
pub(super) struct Problem(pub(super) Option<String>, pub(super) String);

impl Problem {
    pub(super) fn in_column(column: &str, problem: String) -> Self {
        Self(Some(column.to_owned()), problem)
    }
}

/// A table that is read row by row.
pub(super) struct Table {
    reader: ::csv::Reader<Metered<Box<dyn BufRead + Send>>>,
    meter: Meter,
    file: String,
    columns: BTreeMap<String, usize>,
    record: StringRecord,
}

impl Table {
    /// Reads the header. Every column must be among `required`, `optional` or begin with
    /// `prefix`; all required ones must be there.
    pub(super) fn open(
        file: String,
        input: Box<dyn BufRead + Send>,
        required: &[&str],
        optional: &[&str],
        prefix: Option<&str>,
    ) -> Result<Self, TraceError> {
        let meter = Meter::default();
        let metered = Metered { input, meter: meter.clone() };
        // Where rows end with a carriage return and a line feed, csv's own way to take both for an
        // end names the line before. The carriage return is a blank that is trimmed off instead.
        let mut reader = ReaderBuilder::new()
            .terminator(Terminator::Any(b'\n'))
            .trim(Trim::All)
            .flexible(true)
            .from_reader(metered);
        let header = reader.headers().map_err(|error| broken(&file, 1, &error))?.clone();
        let columns = columns(&header, required, optional, prefix)
            .map_err(|Problem(column, text)| TraceError::at(&file, 1, column.as_deref(), text))?;
        Ok(Self { reader, meter, file, columns, record: StringRecord::new() })
    }

    /// The next row, or `None` at the end.
    pub(super) fn next_row(&mut self) -> Result<Option<Row<'_>>, TraceError> {
        self.meter.reset();
        loop {
            match self.reader.read_record(&mut self.record) {
                // A line of blanks is none.
                Ok(true) if self.record.len() == 1 && self.record[0].is_empty() => {}
                Ok(true) => break,
                Ok(false) => return Ok(None),
                Err(error) => {
                    return Err(broken(&self.file, self.reader.position().line(), &error));
                }
            }
        }
        let (expected, cells) = (self.columns.len(), self.record.len());
        let row = Row { table: self };
        if cells == expected {
            return Ok(Some(row));
        }
        let problem = format!("has {cells} cells: expected {expected}, as many as the header");
        Err(row.error(Problem(None, problem)))
    }

    /// The columns whose names begin so, without that beginning.
    pub(super) fn columns_with(&self, prefix: &str) -> Vec<(String, String)> {
        self.columns
            .keys()
            .filter_map(|name| Some((name.clone(), name.strip_prefix(prefix)?.to_owned())))
            .collect()
    }
}

fn columns(
    header: &StringRecord,
    required: &[&str],
    optional: &[&str],
    prefix: Option<&str>,
) -> Result<BTreeMap<String, usize>, Problem> {
    let mut columns = BTreeMap::new();
    for (position, name) in header.iter().enumerate() {
        let has_prefix =
            prefix.is_some_and(|prefix| name.len() > prefix.len() && name.starts_with(prefix));
        if !required.contains(&name) && !optional.contains(&name) && !has_prefix {
            let mut expected: Vec<&str> = required.iter().chain(optional).copied().collect();
            let any = prefix.map(|prefix| format!("{prefix}NAME"));
            expected.extend(any.as_deref());
            let expected = expected.join(", ");
            let problem = format!("no such column is known: expected {expected}");
            return Err(Problem::in_column(name, problem));
        }
        if columns.insert(name.to_owned(), position).is_some() {
            let problem = "the column is there twice: expected it once".to_owned();
            return Err(Problem::in_column(name, problem));
        }
    }
    match required.iter().find(|name| !columns.contains_key(**name)) {
        Some(missing) => {
            let expected = required.join(",");
            Err(Problem(None, format!("the column {missing} is missing: expected {expected}")))
        }
        None => Ok(columns),
    }
}

/// What is wrong with a row that cannot even be read. Not every error says where it is: then it
/// is where the reader was.
fn broken(file: &str, read_up_to: u64, error: &::csv::Error) -> TraceError {
    let line = error.position().map_or(read_up_to, Position::line);
    let problem = match error.kind() {
        ErrorKind::Utf8 { .. } => "is not UTF-8: expected UTF-8 text".to_owned(),
        ErrorKind::Io(error) if error.kind() == std::io::ErrorKind::FileTooLarge => {
            error.to_string()
        }
        ErrorKind::Io(error) => format!("cannot be read: {error}"),
        _ => format!("cannot be read as CSV: {error}"),
    };
    TraceError::at(file, line, None, problem)
}

/// A row of a table.
pub(super) struct Row<'a> {
    table: &'a Table,
}

impl Row<'_> {
    /// The error for a problem in this row.
    pub(super) fn error(&self, Problem(column, text): Problem) -> TraceError {
        let line = self.table.record.position().map_or(0, Position::line);
        TraceError::at(&self.table.file, line, column.as_deref(), text)
    }

    /// A cell; empty if the column is not there.
    pub(super) fn text(&self, column: &str) -> &str {
        self.table.columns.get(column).and_then(|index| self.table.record.get(*index)).unwrap_or("")
    }

    /// The name of an object.
    pub(super) fn name(&self, column: &str) -> Result<&str, Problem> {
        let text = self.text(column);
        if is_name(text) {
            return Ok(text);
        }
        Err(Problem::in_column(
            column,
            format!(
                "{text:?} is no name: expected 1 to {LONGEST_NAME} letters, digits, '-', '_' or '.'"
            ),
        ))
    }

    /// A whole number; 0 if the cell is empty or not there.
    pub(super) fn amount(&self, column: &str) -> Result<i64, Problem> {
        match self.text(column) {
            "" => Ok(0),
            _ => self.required_amount(column),
        }
    }

    /// A whole number that must be there.
    pub(super) fn required_amount(&self, column: &str) -> Result<i64, Problem> {
        let text = self.text(column);
        match text.parse::<i64>() {
            Ok(amount) if (0..=LARGEST_AMOUNT).contains(&amount) => Ok(amount),
            _ => Err(Problem::in_column(
                column,
                format!(
                    "{text:?} is no amount: expected a whole number from 0 to {LARGEST_AMOUNT}"
                ),
            )),
        }
    }

    /// A number of at least 1; `None` if the cell is empty or not there.
    pub(super) fn count(&self, column: &str) -> Result<Option<u32>, Problem> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse::<u32>() {
            Ok(count) if (1..=1_000_000).contains(&count) => Ok(Some(count)),
            _ => Err(Problem::in_column(
                column,
                format!("{text:?} is no count: expected a whole number from 1 to 1000000"),
            )),
        }
    }

    /// Seconds as milliseconds.
    pub(super) fn millis(&self, column: &str) -> Result<i64, Problem> {
        let text = self.text(column);
        let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.abs() <= LONGEST_TIME);
        #[expect(clippy::cast_possible_truncation, reason = "within the longest time")]
        seconds.map(|seconds| (seconds * 1_000.0).round() as i64).ok_or_else(|| {
            Problem::in_column(
                column,
                format!("{text:?} is no time: expected seconds, such as 90 or 0.25"),
            )
        })
    }
}

fn is_name(text: &str) -> bool {
    (1..=LONGEST_NAME).contains(&text.len())
        && text.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_.".contains(&letter))
}
