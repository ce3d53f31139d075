//! Exchanges with the fake in the test's own process, held against Exoscale's description of its
//! API: by what Prism holds those against that pass through it, without its standing in the way.
//! The fakes' clocks may run many times as fast as a proxy could.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, OnceLock, mpsc};
use std::time::Duration;

use berth_cloud_fakes::Exchange;
use berth_cloud_fakes::exoscale::Fake;

use crate::prism;

/// Nothing takes so long to be judged.
const LIMIT: Duration = Duration::from_secs(300);

/// Holds the exchanges of one fake against the description, and fails the test at its end if one
/// was not as described.
pub struct Held(Arc<Tally>);

#[derive(Default)]
struct Tally {
    counts: Mutex<Counts>,
    judged: Condvar,
}

#[derive(Default)]
struct Counts {
    shown: usize,
    judged: usize,
    violations: Vec<String>,
}

/// What is to be judged, and for whom.
type Case = (String, Arc<Tally>);

impl Held {
    /// Begins with a fake. Without Prism, which a printed notice says, everything passes.
    pub fn of(fake: &Fake) -> Self {
        let held = Self(Arc::default());
        // Not while somebody waits for an answer.
        let _ = judge();
        let tally = Arc::clone(&held.0);
        fake.show(Arc::new(move |exchange| tally.show(&exchange)));
        held
    }

    /// What was not as described so far, once everything so far has been judged; `None` without
    /// Prism.
    pub fn violations(&self) -> Option<Vec<String>> {
        judge()?;
        let counts = self.0.counts.lock().unwrap();
        let (counts, late) = self
            .0
            .judged
            .wait_timeout_while(counts, LIMIT, |counts| counts.judged < counts.shown)
            .unwrap();
        assert!(!late.timed_out(), "Prism judged {} of {}", counts.judged, counts.shown);
        Some(counts.violations.clone())
    }

    /// What was found so far was meant to be.
    #[allow(dead_code, reason = "only one of the tests that share this means any")]
    pub fn forgive(&self) {
        self.0.counts.lock().unwrap().violations.clear();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let Some(violations) = self.violations() else { return };
            println!("Prism: {} exchanges", self.0.counts.lock().unwrap().judged);
            assert!(violations.is_empty(), "not as Exoscale describes its API: {violations:#?}");
        }
    }
}

impl Tally {
    fn show(self: &Arc<Self>, exchange: &Exchange) {
        let Some(judge) = judge() else { return };
        self.counts.lock().unwrap().shown += 1;
        let line = serde_json::to_string(exchange).unwrap();
        judge.lock().unwrap().send((line, Arc::clone(self))).unwrap();
    }
}

/// Who judges in this process, from the first question on.
fn judge() -> Option<&'static Mutex<mpsc::Sender<Case>>> {
    static JUDGE: OnceLock<Option<Mutex<mpsc::Sender<Case>>>> = OnceLock::new();
    JUDGE.get_or_init(|| prism::installed().map(|tools| Mutex::new(start(&tools)))).as_ref()
}

/// Starts Prism's rules in a process that ends with this one.
fn start(tools: &Path) -> mpsc::Sender<Case> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exoscale/exchanges.js");
    let mut process = Command::new("node")
        .arg(script)
        .arg(tools)
        .arg(tools.join("description.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut questions = process.stdin.take().unwrap();
    let answers = BufReader::new(process.stdout.take().unwrap());
    let (sender, cases) = mpsc::channel::<Case>();
    let waiting: Arc<Mutex<VecDeque<Arc<Tally>>>> = Arc::default();
    let asked = Arc::clone(&waiting);
    std::thread::spawn(move || {
        for (line, tally) in cases {
            asked.lock().unwrap().push_back(tally);
            writeln!(questions, "{line}").unwrap();
        }
    });
    std::thread::spawn(move || {
        for line in answers.lines() {
            let found: Vec<String> = serde_json::from_str(&line.unwrap()).unwrap();
            let tally = waiting.lock().unwrap().pop_front().unwrap();
            let mut counts = tally.counts.lock().unwrap();
            counts.judged += 1;
            counts.violations.extend(found);
            tally.judged.notify_all();
        }
        process.wait().unwrap();
    });
    sender
}
