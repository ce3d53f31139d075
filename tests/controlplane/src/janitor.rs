//! Stops what a test process leaves behind when it dies without running its destructors.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

/// Reads process ids (and at the end the word `done`) from its standard input. When that ends
/// without `done`, the test process is gone, and everything it told of is killed.
const SCRIPT: &str = r#"
pids=""
while read -r line; do
  [ "$line" = done ] && exit 0
  pids="$pids $line"
done
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
rm -rf "$1"
"#;

/// A shell that outlives a killed test process by an instant.
pub(crate) struct Janitor {
    shell: Child,
    pipe: Mutex<Option<ChildStdin>>,
}

impl Janitor {
    /// A janitor for the processes of one control plane and its `folder`.
    pub(crate) fn start(folder: &std::path::Path) -> Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "berth-controlplane-janitor"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C reaches every process of the terminal's group: not this one.
            .process_group(0)
            .spawn()
            .context("cannot run sh")?;
        let pipe = Mutex::new(shell.stdin.take());
        Ok(Self { shell, pipe })
    }

    /// Tells of a process that must not outlive the test process.
    pub(crate) fn watch(&self, pid: u32) {
        if let Some(pipe) = self.pipe.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // Without the janitor the destructors still do their work.
            let _ = writeln!(pipe, "{pid}");
        }
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writeln!(pipe, "done");
        }
        let _ = self.shell.wait();
    }
}
