//! What a replay leaves in a folder.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context;
use berth_simulations::replay::{Moment, PolicyName, Recorded, Summary};

use super::{Document, json};
use crate::commands::Failure;
use crate::decisions::LineWriter;

/// So many decisions wait to be written before the replay does: each holds a picture of the cluster.
const MOST_WAITING: usize = 16;

/// The files, while they are written.
pub(super) struct Folder {
    path: PathBuf,
    timeline: BufWriter<File>,
    rounds: BufWriter<File>,
    decisions: Recorder,
    /// The first thing that went wrong.
    broken: Option<io::Error>,
}

impl Folder {
    /// Makes the folder if it is not there, and begins the files.
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let cannot = || format!("{} cannot be written to", path.display());
        std::fs::create_dir_all(path).with_context(cannot)?;
        let file = |name: &str| -> Result<BufWriter<File>, Failure> {
            Ok(BufWriter::new(File::create(path.join(name)).with_context(cannot)?))
        };
        let mut timeline = file("timeline.csv")?;
        writeln!(timeline, "policy,{}", Moment::HEADER).with_context(cannot)?;
        let rounds = file("rounds.jsonl")?;
        let decisions = Recorder::start(file("decisions.jsonl")?).with_context(cannot)?;
        Ok(Self { path: path.to_owned(), timeline, rounds, decisions, broken: None })
    }

    pub(super) fn moment(&mut self, policy: PolicyName, moment: &Moment) {
        let written = writeln!(self.timeline, "{policy},{}", moment.row());
        self.note(written);
    }

    /// A line for `berth replay`.
    pub(super) fn recorded(&mut self, recorded: Recorded) {
        let written = self.decisions.add(recorded);
        self.note(written);
    }

    /// What came of a round is an object; the policy becomes its first member.
    pub(super) fn round(&mut self, policy: PolicyName, line: &str) {
        let rest = line.strip_prefix('{').unwrap_or(line);
        let written = writeln!(self.rounds, "{{\"policy\":\"{policy}\",{rest}");
        self.note(written);
    }

    fn note(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.broken.get_or_insert(error);
        }
    }

    /// Whether all could be written so far.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        match self.broken.take() {
            None => Ok(()),
            Some(error) => Err(Failure::Failed(
                anyhow::Error::new(error)
                    .context(format!("{} cannot be written to", self.path.display())),
            )),
        }
    }

    /// Ends the files, and writes the report and the summary: the same bytes each time.
    pub(super) fn finish(mut self, document: &Document, report: &str) -> Result<(), Failure> {
        let cannot = || format!("{} cannot be written to", self.path.display());
        self.timeline.flush().with_context(cannot)?;
        self.rounds.flush().with_context(cannot)?;
        self.decisions.finish().with_context(cannot)?;
        let policies = document.policies.iter().cloned();
        let same = Document {
            trace: document.trace.clone(),
            catalog: document.catalog.clone(),
            seed: document.seed,
            policies: policies.map(|one| Summary { wall_seconds: None, ..one }).collect(),
        };
        std::fs::write(self.path.join("report.html"), report).with_context(cannot)?;
        std::fs::write(self.path.join("summary.json"), json(&same)?).with_context(cannot)?;
        self.check()
    }
}

/// Writes decisions on a thread of its own, so that the replay goes on meanwhile.
struct Recorder {
    /// Nothing once the thread has been waited for.
    running: Option<(SyncSender<Recorded>, JoinHandle<io::Result<()>>)>,
}

impl Recorder {
    fn start(file: BufWriter<File>) -> io::Result<Self> {
        let (outbox, inbox) = sync_channel(MOST_WAITING);
        let writer = std::thread::Builder::new()
            .name("decisions".to_owned())
            .spawn(move || write_all(file, &inbox))?;
        Ok(Self { running: Some((outbox, writer)) })
    }

    /// Has a decision written; an error is that of an earlier one.
    fn add(&mut self, recorded: Recorded) -> io::Result<()> {
        match &self.running {
            Some((outbox, _)) if outbox.send(recorded).is_err() => self.finish(),
            _ => Ok(()),
        }
    }

    /// Waits until all is written.
    fn finish(&mut self) -> io::Result<()> {
        let Some((outbox, writer)) = self.running.take() else { return Ok(()) };
        drop(outbox);
        writer.join().unwrap_or_else(|_| Err(io::Error::other("the thread that writes is gone")))
    }
}

fn write_all(file: BufWriter<File>, inbox: &Receiver<Recorded>) -> io::Result<()> {
    let mut lines = LineWriter::new(file);
    for Recorded { series, snapshot, decision } in inbox {
        lines.add(series, snapshot, &decision)?;
    }
    lines.flush()
}
