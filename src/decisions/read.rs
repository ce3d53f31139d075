//! Reads logged decisions.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use berth_solver::decisions::Line;
use flate2::bufread::MultiGzDecoder;

/// A line that is longer than this, in bytes, is none of ours: the first line of a file holds a
/// whole cluster.
const LONGEST_LINE: u64 = 4 << 30;
/// What the files' names begin with; milliseconds since the epoch follow.
pub(super) const PREFIX: &str = "decisions-";
/// What the daemon's files end with.
pub(super) const SUFFIX: &str = ".jsonl.gz";
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The files of a folder that hold decisions, the oldest first.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let is_log = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(PREFIX) && (name.ends_with(SUFFIX) || name.ends_with(".jsonl"))
    };
    let mut found: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .filter(|path| path.as_ref().map_or(true, is_log))
        .collect::<io::Result<_>>()?;
    found.sort();
    Ok(found)
}

/// When a file was begun, by its name.
pub(super) fn begun_at(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok()
}

/// Why a line could not be read. Says where.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("{file}: {source}")]
    Unreadable {
        /// Its path.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// A line is no decision.
    #[error("{file}:{line}: {field}: {problem}")]
    Malformed {
        /// The file's path.
        file: String,
        /// The line, counted from 1.
        line: u64,
        /// Where in it: names and indexes, with dots between.
        field: String,
        /// What is wrong, and what was expected.
        problem: String,
    },
}

/// The lines of one file, plain or compressed, one after the other.
pub struct Lines {
    file: String,
    input: Box<dyn BufRead>,
    line: u64,
    text: Vec<u8>,
    ended: bool,
    cut_off: bool,
}

impl Lines {
    /// Opens a file. `count` passes on what is read of it, and may count it.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open<R: Read + 'static>(
        path: &Path,
        count: impl FnOnce(File) -> R,
    ) -> Result<Self, ReadError> {
        let file = path.display().to_string();
        let unreadable = |source| ReadError::Unreadable { file: file.clone(), source };
        let mut input = BufReader::new(count(File::open(path).map_err(unreadable)?));
        let start = input.fill_buf().map_err(unreadable)?;
        let input: Box<dyn BufRead> = if start.starts_with(&GZIP) {
            Box::new(BufReader::new(MultiGzDecoder::new(input)))
        } else {
            Box::new(input)
        };
        Ok(Self { file, input, line: 0, text: Vec::new(), ended: false, cut_off: false })
    }

    /// How many lines were read.
    pub const fn line(&self) -> u64 {
        self.line
    }

    /// Whether the file ends within a line, as that of a daemon that still writes may.
    pub const fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    fn read(&mut self) -> Result<Option<Line>, ReadError> {
        self.text.clear();
        match (&mut self.input).take(LONGEST_LINE).read_until(b'\n', &mut self.text) {
            Ok(_) => {}
            // A compressed file without its end: so does one that is still written look.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.cut_off = true,
            Err(source) => return Err(ReadError::Unreadable { file: self.file.clone(), source }),
        }
        if self.text.last() != Some(&b'\n') {
            self.ended = true;
            self.cut_off |= !self.text.is_empty();
            return Ok(None);
        }
        self.line += 1;
        let parser = &mut serde_json::Deserializer::from_slice(&self.text);
        let line = serde_path_to_error::deserialize(parser);
        line.map(Some).map_err(|error| ReadError::Malformed {
            file: self.file.clone(),
            line: self.line,
            field: error.path().to_string(),
            problem: error.into_inner().to_string(),
        })
    }
}

impl Iterator for Lines {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read();
        self.ended |= read.is_err();
        read.transpose()
    }
}
