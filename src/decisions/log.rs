//! Writes decisions into files that are begun anew before they grow too large.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use berth_solver::decisions::{Decision, Line, VERSION, difference};
use berth_solver::model::{Snapshot, Timestamp};
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use super::read::{PREFIX, SUFFIX, begun_at, files};

/// Decisions that wait to be written; more are left out. A line that was left out changes nothing
/// for those after it.
const WAITING: usize = 64;

/// Where decisions are written, and how much room they may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The folder; it is made if it is not there.
    pub folder: PathBuf,
    /// A file that has become larger, in bytes, is followed by a new one.
    pub file_bytes: u64,
    /// So many files are kept, the oldest are deleted.
    pub files: usize,
}

impl LogSettings {
    /// 8 files of 32 MiB in that folder.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, file_bytes: 32 << 20, files: 8 }
    }
}

type Entry = (Arc<Snapshot>, Arc<Decision>);

/// Where decisions are handed in. What is left is written when it is dropped.
#[derive(Debug)]
pub struct DecisionLog {
    entries: Option<SyncSender<Entry>>,
    left_out: Mutex<u64>,
    writer: Option<JoinHandle<()>>,
}

impl DecisionLog {
    /// Opens a log: from now on a thread writes.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or nothing can be written there.
    pub fn open(settings: LogSettings) -> io::Result<Self> {
        fs::create_dir_all(&settings.folder)?;
        let probe = settings.folder.join(".berth-writes-here");
        File::create(&probe)?;
        fs::remove_file(probe)?;
        let (entries, inbox) = sync_channel(WAITING);
        let writer = std::thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || write_all(&settings, &inbox))?;
        Ok(Self { entries: Some(entries), left_out: Mutex::new(0), writer: Some(writer) })
    }

    /// Hands in a decision. Never waits: where writing is too slow, decisions are left out.
    pub(super) fn write(&self, snapshot: &Arc<Snapshot>, decision: &Arc<Decision>) {
        let entry = (Arc::clone(snapshot), Arc::clone(decision));
        let taken = self.entries.as_ref().is_some_and(|entries| entries.try_send(entry).is_ok());
        if !taken {
            let mut left_out = self.left_out.lock();
            *left_out += 1;
            tracing::warn!(so_far = *left_out, "a decision was not logged: writing is too slow");
        }
    }
}

impl Drop for DecisionLog {
    fn drop(&mut self) {
        self.entries = None;
        if let Some(writer) = self.writer.take() {
            // It has said so if it broke down.
            let _ = writer.join();
        }
    }
}

fn write_all(settings: &LogSettings, inbox: &Receiver<Entry>) {
    let mut current: Option<Current> = None;
    while let Ok((snapshot, decision)) = inbox.recv() {
        if let Err(error) = write_one(settings, &mut current, snapshot, &decision) {
            // The next one begins a new file: this one's end is unknown.
            current = None;
            let folder = settings.folder.display();
            tracing::error!(%error, %folder, "a decision could not be logged");
        }
    }
    if let Some(Err(error)) = current.map(Current::end) {
        tracing::error!(%error, "the decision log could not be ended");
    }
}

fn write_one(
    settings: &LogSettings,
    current: &mut Option<Current>,
    snapshot: Arc<Snapshot>,
    decision: &Decision,
) -> io::Result<()> {
    if current.as_ref().is_some_and(|file| file.written() > settings.file_bytes)
        && let Some(full) = current.take()
    {
        full.end()?;
    }
    let file = match current {
        Some(file) => file,
        None => {
            let begun = Current::begin(&settings.folder, decision.at)?;
            remove_old(settings)?;
            current.insert(begun)
        }
    };
    file.add(snapshot, decision)
}

/// The file that is written.
struct Current(LineWriter<GzEncoder<Counted>>);

impl Current {
    fn begin(folder: &Path, at: Timestamp) -> io::Result<Self> {
        // Names are in order, though the clock was set back or two files begin at one moment.
        let after_newest =
            files(folder)?.last().and_then(|path| begun_at(path)).map_or(0, |at| at + 1);
        let at = at.as_millis().max(after_newest);
        let file = File::create_new(folder.join(format!("{PREFIX}{at:013}{SUFFIX}")))?;
        let output = GzEncoder::new(Counted { file, written: 0 }, Compression::default());
        Ok(Self(LineWriter::new(output)))
    }

    fn written(&self) -> u64 {
        self.0.output.get_ref().written
    }

    fn add(&mut self, snapshot: Arc<Snapshot>, decision: &Decision) -> io::Result<()> {
        self.0.add(0, snapshot, decision)?;
        // What was decided can be read though the process is killed.
        self.0.output.flush()
    }

    fn end(self) -> io::Result<()> {
        self.0.output.finish().map(drop)
    }
}

/// Writes decisions as lines, each with what has changed since the last one of its series.
#[derive(Debug)]
pub struct LineWriter<W> {
    output: W,
    /// What the last line of each series was decided on.
    last: BTreeMap<u8, Arc<Snapshot>>,
}

impl<W: Write> LineWriter<W> {
    /// Nothing is written yet.
    pub const fn new(output: W) -> Self {
        Self { output, last: BTreeMap::new() }
    }

    /// Writes one.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn add(
        &mut self,
        series: u8,
        snapshot: Arc<Snapshot>,
        decision: &Decision,
    ) -> io::Result<()> {
        let empty = Snapshot::default();
        let last = self.last.get(&series);
        let line = Line {
            version: VERSION,
            berth: env!("CARGO_PKG_VERSION").into(),
            series,
            complete: last.is_none(),
            generation: snapshot.generation,
            changes: difference(last.map_or(&empty, |last| last), &snapshot),
            decision: decision.clone(),
        };
        serde_json::to_writer(&mut self.output, &line)?;
        self.output.write_all(b"\n")?;
        self.last.insert(series, snapshot);
        Ok(())
    }

    /// Sees to it that everything is written.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// A file that knows how much was written into it.
#[derive(Debug)]
struct Counted {
    file: File,
    written: u64,
}

impl Write for Counted {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.file.write(buffer)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn remove_old(settings: &LogSettings) -> io::Result<()> {
    let mut kept = files(&settings.folder)?;
    let surplus = kept.len().saturating_sub(settings.files.max(1));
    kept.drain(..surplus).try_for_each(fs::remove_file)
}
