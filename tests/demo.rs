//! `berth demo` as a newcomer sees it: the built binary, its ports, its end at zero.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// A demo that is killed with its test.
struct Demo {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(120);

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_berth"))
            .arg("demo")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds `wanted`.
    fn line_with(&mut self, wanted: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {wanted:?} in:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if line.contains(wanted) {
                return line;
            }
        }
    }

    fn address(&mut self, name: &str) -> String {
        let line = self.line_with(&format!("{name} "));
        let address = line.split("http://").nth(1).unwrap();
        address.split('/').next().unwrap().to_owned()
    }

    /// Reads the rest and returns everything and the exit status.
    fn end(mut self) -> (String, Option<i32>) {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) =
            self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.seen.push(line);
        }
        let status = self.child.wait().unwrap();
        (self.seen.join("\n"), status.code())
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_demo_answers_on_its_ports_and_ends_at_zero_nodes() {
    let mut demo = Demo::start(&["--plain", "--speed", "10", "--seed", "3", "--for", "8s"]);
    let extender = demo.address("extender");
    let metrics = demo.address("metrics");
    let health = demo.address("health");
    demo.line_with(" place ");

    assert!(get(&health, "/healthz").starts_with("HTTP/1.1 200 OK"));
    assert!(get(&health, "/readyz").starts_with("HTTP/1.1 200 OK"));
    let page = get(&metrics, "/metrics");
    assert!(page.contains("berth_cluster_price_per_hour"), "{page}");
    assert!(page.contains("berth_extender_requests_total{verb=\"filter\""), "{page}");
    assert!(get(&extender, "/filter").starts_with("HTTP/1.1 405"));

    let (output, status) = demo.end();
    assert_eq!(status, Some(0), "{output}");
    assert!(output.contains("everything scales to zero"), "{output}");
    assert!(output.contains("0 nodes; infrastructure node untouched"), "{output}");
    for wanted in [" launch ", " remove ", " status ", "where planned", "lower bound", "p99"] {
        assert!(output.contains(wanted), "{wanted:?} is missing in:\n{output}");
    }
}

#[test]
fn an_interrupted_demo_says_so_and_fails() {
    let mut demo = Demo::start(&["--plain"]);
    demo.line_with(" launch ");
    let pid = demo.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let (output, status) = demo.end();
    assert_eq!(status, Some(1), "{output}");
    assert!(output.contains("simulated time"), "a summary is printed all the same:\n{output}");
}

#[test]
fn numbers_that_make_no_sense_are_refused_with_what_would_be_right() {
    for (arguments, wanted) in [
        (["demo", "--speed", "0"], "expected a number from 0.1 to 100"),
        (["demo", "--for", "soon"], "expected a number and a unit"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_berth")).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(wanted), "{error}");
    }
}
