//! A fake in a process of its own, and the tests that talk to it.
//!
//! Beside the API the process answers at `/_/`: `GET journal`, `GET world` and `POST world` (see
//! the cloud for what that takes), `GET faults`, `POST faults` ([`Asked`]) and `DELETE faults`.

use std::io;
use std::process::Stdio;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::faults::Fault;
use crate::journal::Call;
use crate::server::{Cloud, Fake};

/// Before everything that is asked beside the API.
pub(crate) const BASE: &str = "/_/";
/// What the process says first: where it is.
const READY: &str = "fake at ";

/// Faults that are asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub operation: String,
    /// How many calls are left alone first.
    #[serde(default)]
    pub skip: usize,
    pub times: usize,
    pub fault: Fault,
}

/// Says on standard output where a fake is, and keeps it until standard input ends, as it does when
/// whoever started the process is gone.
///
/// # Errors
/// If nothing can be written.
pub async fn keep<W: Cloud>(fake: Fake<W>) -> io::Result<()> {
    let mut output = tokio::io::stdout();
    output.write_all(format!("\n{READY}{}\n", fake.origin()).as_bytes()).await?;
    output.flush().await?;
    let mut input = tokio::io::stdin();
    let mut buffer = [0; 64];
    while input.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// A fake that runs in another process. It ends when this is dropped.
#[derive(Debug)]
pub struct Process {
    origin: String,
    address: String,
    _child: Child,
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

impl Process {
    /// Runs a command that comes to [`keep`], and waits until it says where it is.
    ///
    /// # Errors
    /// If it cannot be run, or ends before it says so.
    pub async fn start(command: &mut Command) -> io::Result<Self> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let output = child.stdout.take().ok_or_else(|| other("there is no standard output"))?;
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(origin) = line.strip_prefix(READY) {
                let address = origin.trim_start_matches("http://").to_owned();
                let origin = origin.to_owned();
                // Whatever else it says has to go somewhere.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(Self { origin, address, _child: child });
            }
        }
        Err(other("the fake ended before it said where it is"))
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Every call so far.
    ///
    /// # Errors
    /// If the process does not answer.
    pub async fn journal(&self) -> io::Result<Vec<Call>> {
        serde_json::from_value(self.ask("GET", "journal", &Value::Null).await?).map_err(other)
    }

    /// What there is.
    ///
    /// # Errors
    /// If the process does not answer.
    pub async fn picture(&self) -> io::Result<Value> {
        self.ask("GET", "world", &Value::Null).await
    }

    /// Changes what there is; gives the id of what was added.
    ///
    /// # Errors
    /// If the process does not answer, or refuses.
    pub async fn change(&self, change: &Value) -> io::Result<String> {
        let answer = self.ask("POST", "world", change).await?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    /// The next `times` calls of an operation meet a fault, after those that were asked for before.
    ///
    /// # Errors
    /// If the process does not answer.
    pub async fn faults(&self, operation: &str, times: usize, fault: Fault) -> io::Result<()> {
        let asked = Asked { operation: operation.to_owned(), skip: 0, times, fault };
        self.ask("POST", "faults", &json!(asked)).await.map(drop)
    }

    /// How many faults that were asked for have met no call yet.
    ///
    /// # Errors
    /// If the process does not answer.
    pub async fn faults_left(&self) -> io::Result<u64> {
        let answer = self.ask("GET", "faults", &Value::Null).await?;
        answer.as_u64().ok_or_else(|| other(answer))
    }

    async fn ask(&self, method: &str, what: &str, body: &Value) -> io::Result<Value> {
        let stream = TokioIo::new(TcpStream::connect(&self.address).await?);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(stream).await.map_err(other)?;
        let answering = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(format!("{BASE}{what}"))
            .header("host", &self.address)
            .body(Full::new(Bytes::from(body.to_string())));
        let response = sender.send_request(request.map_err(other)?).await.map_err(other)?;
        let (status, body) = (response.status(), response.into_body());
        let bytes = body.collect().await.map_err(other)?.to_bytes();
        answering.abort();
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(other);
        }
        Err(other(String::from_utf8_lossy(&bytes)))
    }
}
