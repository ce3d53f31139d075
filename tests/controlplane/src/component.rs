//! One process of the control plane.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};

use crate::janitor::Janitor;

/// How many lines of a log a failure shows.
const TAIL_LINES: usize = 25;

/// One process of the control plane, with its log in a file of its own. Stopped when dropped.
pub struct Component {
    name: String,
    binary: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    janitor: Arc<Janitor>,
    child: Mutex<Option<Child>>,
}

impl Component {
    pub(crate) fn new(
        name: &str,
        binary: PathBuf,
        arguments: Vec<String>,
        logs: &Path,
        janitor: &Arc<Janitor>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            binary,
            arguments,
            log: logs.join(format!("{name}.log")),
            janitor: Arc::clone(janitor),
            child: Mutex::new(None),
        }
    }

    /// Starts the process unless it runs. Its output is appended to its log.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn start(&self) -> Result<()> {
        let mut child = self.child();
        if child.is_some() {
            return Ok(());
        }
        let log = self.open_log()?;
        let started = Command::new(&self.binary)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", self.binary.display()))?;
        self.janitor.watch(started.id());
        *child = Some(started);
        Ok(())
    }

    /// Kills the process (SIGKILL) and waits for its end.
    pub fn stop(&self) {
        if let Some(mut child) = self.child().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Fails when the process is not running, with the end of its log.
    ///
    /// # Errors
    /// When it never started, was stopped, or ended by itself.
    pub fn check(&self) -> Result<()> {
        let mut child = self.child();
        let Some(running) = child.as_mut() else { bail!("{} is stopped", self.name) };
        if let Some(status) = running.try_wait()? {
            *child = None;
            bail!("{} ended ({status}); {}", self.name, self.tail());
        }
        Ok(())
    }

    /// The process's number while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// The last lines of the log, with the log's path, for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("the end of {}:\n{}", self.log.display(), tail.join("\n"))
    }

    /// The path of the log.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    fn open_log(&self) -> Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.stop();
    }
}
