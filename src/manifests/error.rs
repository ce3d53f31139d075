use std::fmt;

/// What is wrong with a manifest, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestError {
    /// The file.
    pub file: String,
    /// The line, from 1 on: of the fault where it is one of YAML, of the document's first line
    /// otherwise.
    pub line: Option<u64>,
    /// The object: kind, namespace and name, as far as they are known.
    pub object: Option<String>,
    /// What is wrong (with the field first, where it is one) and what was expected.
    pub problem: String,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.file)?;
        if let Some(line) = self.line {
            write!(formatter, "line {line}: ")?;
        }
        if let Some(object) = &self.object {
            write!(formatter, "{object}: ")?;
        }
        // Parsers may quote what they found, line ends and all.
        self.problem
            .split(['\n', '\r'])
            .filter(|part| !part.trim().is_empty())
            .enumerate()
            .try_for_each(|(index, part)| {
                let blank = if index == 0 { "" } else { " " };
                write!(formatter, "{blank}{}", part.trim())
            })
    }
}

impl std::error::Error for ManifestError {}
