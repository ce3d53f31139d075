//! The demo as lines of text.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::journal::Entry;
use super::stage::{Ending, Stage};
use super::text::{clock, money, percent};
use super::view::View;

/// A status line is printed so often.
const STATUS_INTERVAL: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(100);

/// Prints what happens until the end, or until somebody interrupts it.
///
/// # Errors
/// When nothing can be printed.
pub async fn show(stage: &Stage, output: &mut dyn Write) -> io::Result<Ending> {
    writeln!(output, "Berth demo: a virtual cluster on Exoscale's price list")?;
    for (name, address) in stage.addresses() {
        writeln!(output, "{name:<9} {address}")?;
    }
    output.flush()?;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut printer = Printer { seen: 0, last_status: None };
    loop {
        printer.print(stage, output)?;
        if let Some(ending) = stage.ending() {
            printer.print(stage, output)?;
            return Ok(ending);
        }
        tokio::select! {
            _ = &mut interrupted => return Ok(stage.stopped()),
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

struct Printer {
    /// Entries of the journal that were printed.
    seen: usize,
    last_status: Option<Instant>,
}

impl Printer {
    fn print(&mut self, stage: &Stage, output: &mut dyn Write) -> io::Result<()> {
        let (new, seen) = stage.journal().after(self.seen);
        self.seen = seen;
        if !new.is_empty() {
            let view = stage.view();
            for entry in &new {
                writeln!(output, "{}", entry_line(entry, &view))?;
            }
        }
        if self.last_status.is_none_or(|last| last.elapsed() >= STATUS_INTERVAL) {
            self.last_status = Some(Instant::now());
            writeln!(output, "{}", status_line(&stage.view()))?;
        }
        output.flush()
    }
}

fn entry_line(entry: &Entry, view: &View) -> String {
    format!("{} {:<9}{}", clock(entry.at.since(view.start)), entry.subject.word(), entry.text)
}

fn status_line(view: &View) -> String {
    let pods = &view.pods;
    format!(
        "{} status   {} nodes; pods {} running, {} starting, {} pending, {} leaving; {} EUR/h, \
         bound {}, gap {}; spent {:.4} EUR",
        clock(view.elapsed),
        view.own_nodes(),
        pods.running,
        pods.starting,
        pods.pending,
        pods.leaving,
        money(view.price),
        view.lower_bound.map_or_else(|| "-".to_owned(), money),
        view.gap().map_or_else(|| "-".to_owned(), percent),
        view.cost.as_f64(),
    )
}
