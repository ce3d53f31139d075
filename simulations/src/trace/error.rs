use std::fmt;
use std::io;

/// What is wrong with a trace, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    /// The file.
    pub file: String,
    /// The line, from 1 on.
    pub line: Option<u64>,
    /// The column: its name in a table, the number of the word in a line otherwise.
    pub column: Option<String>,
    /// What is wrong and what was expected.
    pub problem: String,
}

impl TraceError {
    /// The file cannot be read.
    pub fn unreadable(file: &str, error: &io::Error) -> Self {
        let problem = format!("cannot be read: {error}");
        Self { file: file.to_owned(), line: None, column: None, problem }
    }

    pub(super) fn at(file: &str, line: u64, column: Option<&str>, problem: String) -> Self {
        Self {
            file: file.to_owned(),
            line: Some(line),
            column: column.map(ToOwned::to_owned),
            problem,
        }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.file)?;
        if let Some(line) = self.line {
            write!(formatter, "line {line}")?;
            if let Some(column) = &self.column {
                write!(formatter, ", column {column}")?;
            }
            formatter.write_str(": ")?;
        }
        formatter.write_str(&self.problem)
    }
}

impl std::error::Error for TraceError {}
