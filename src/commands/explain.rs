//! `berth explain`: asks a running daemon why something is as it is.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::StatusCode;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::Failure;
use super::output::{Output, json};
use crate::explain::{Explanation, Subject};

/// How long the daemon may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// No explanation is longer, in bytes.
const LONGEST_ANSWER: usize = 16 << 20;

/// Ask a running daemon why a node or a pod is as it is
///
/// Why a node was launched, why it stays or goes; where a pod is to go, and why it waits. In a
/// cluster: kubectl -n berth-system exec deploy/berth -- berth explain node/NAME
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// What to explain: node/NAME, nodeclaim/NAME or pod/NAMESPACE/NAME
    #[arg(value_name = "SUBJECT")]
    subject: Subject,
    /// The daemon's --metrics-address
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "BERTH_EXPLAIN_ADDRESS",
        default_value = "127.0.0.1:8080"
    )]
    address: String,
    /// Text for people or JSON for machines
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// Asks, and prints the answer to `output`.
///
/// # Errors
/// When the daemon does not answer, when it knows no such object, and when nothing can be printed.
pub fn run(arguments: &Arguments, output: &mut impl Write) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let body = runtime.block_on(ask(arguments))?;
    let explanation: Explanation = serde_json::from_slice(&body)
        .with_context(|| format!("{} answered something else: is it Berth?", arguments.address))?;
    let text = match arguments.output {
        Output::Json => json(&explanation)?,
        Output::Table => human(&explanation),
    };
    output.write_all(text.as_bytes()).context("cannot print")?;
    Ok(())
}

async fn ask(arguments: &Arguments) -> Result<Bytes, Failure> {
    let address = &arguments.address;
    let uri = format!("http://{address}/explain/{}", arguments.subject);
    let uri: hyper::Uri =
        uri.parse().map_err(|error| Failure::BadInput(anyhow!("--address {address}: {error}")))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let asking = async {
        let response = client.get(uri).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow!("{error}"))?.to_bytes();
        anyhow::Ok((status, body))
    };
    let hint = || {
        format!(
            "no daemon answers at {address}: give the --metrics-address of one that runs, or ask \
             where it runs (kubectl -n berth-system exec deploy/berth -- berth explain {})",
            arguments.subject
        )
    };
    let answered = tokio::time::timeout(PATIENCE, asking).await.with_context(hint)?;
    let (status, body) = answered.with_context(hint)?;
    if status == StatusCode::OK {
        return Ok(body);
    }
    let said = String::from_utf8_lossy(&body);
    Err(Failure::Failed(anyhow!("{}", said.trim())))
}

fn human(explanation: &Explanation) -> String {
    let mut text = format!("{}: {}\n", explanation.subject, explanation.verdict);
    for reason in &explanation.reasons {
        text.push_str(&format!("  - {reason}\n"));
    }
    let width = explanation.facts.iter().map(|fact| fact.name.len()).max().unwrap_or(0);
    for fact in &explanation.facts {
        text.push_str(&format!("  {:width$}  {}\n", fact.name, fact.value));
    }
    for note in &explanation.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}
