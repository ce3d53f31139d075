//! kube-scheduler's side of the extender protocol: asking over HTTP, on one connection that is
//! kept open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use berth_solver::model::{Name, Pod};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// kube-scheduler's default `httpTimeout`.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long calls took. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Arc<Mutex<Vec<Duration>>>);

/// What there is to say about the calls so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// How many calls.
    pub calls: usize,
    /// Half of them took no longer, in milliseconds.
    pub p50: f64,
    /// 99 of a hundred took no longer, in milliseconds.
    pub p99: f64,
}

impl Latencies {
    fn record(&self, took: Duration) {
        self.0.lock().push(took);
    }

    /// The figures so far.
    pub fn figures(&self) -> Figures {
        let mut sorted = self.0.lock().clone();
        sorted.sort_unstable();
        let quantile = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(rank).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
        };
        Figures { calls: sorted.len(), p50: quantile(50), p99: quantile(99) }
    }
}

/// A client of the extender.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    connection: Option<SendRequest<Full<Bytes>>>,
    latencies: Latencies,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct FilterResult {
    #[serde(default)]
    node_names: Option<Vec<String>>,
    #[serde(default)]
    error: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostPriority {
    host: String,
    score: i64,
}

impl Client {
    /// A client of the extender at that address.
    pub fn new(address: SocketAddr, latencies: Latencies) -> Self {
        Self { address, connection: None, latencies }
    }

    /// Which of the candidates a pod may go to.
    ///
    /// # Errors
    /// When the extender cannot be reached, answers late or wrong, or says that it failed.
    pub async fn filter(&mut self, pod: &Pod, candidates: &[Name]) -> anyhow::Result<Vec<Name>> {
        let answer = self.ask("/filter", pod, candidates).await?;
        let result: FilterResult =
            serde_json::from_slice(&answer).context("/filter answered no ExtenderFilterResult")?;
        ensure!(result.error.is_empty(), "/filter failed: {}", result.error);
        Ok(result.node_names.unwrap_or_default().into_iter().map(Name::from).collect())
    }

    /// How good each of the candidates is for a pod.
    ///
    /// # Errors
    /// As [`Client::filter`].
    pub async fn prioritize(
        &mut self,
        pod: &Pod,
        candidates: &[Name],
    ) -> anyhow::Result<Vec<(Name, i64)>> {
        let answer = self.ask("/prioritize", pod, candidates).await?;
        let scores: Option<Vec<HostPriority>> =
            serde_json::from_slice(&answer).context("/prioritize answered no HostPriorityList")?;
        Ok(scores.into_iter().flatten().map(|one| (one.host.into(), one.score)).collect())
    }

    async fn ask(&mut self, path: &str, pod: &Pod, names: &[Name]) -> anyhow::Result<Bytes> {
        let names: Vec<&str> = names.iter().map(Name::as_str).collect();
        let question = json!({ "Pod": object(pod), "Nodes": null, "NodeNames": names });
        let body = Bytes::from(serde_json::to_vec(&question)?);
        let started = Instant::now();
        let answer = match tokio::time::timeout(TIMEOUT, self.post(path, body)).await {
            Ok(answer) => answer,
            Err(_) => bail!("{path} did not answer within {TIMEOUT:?}"),
        };
        if answer.is_err() {
            self.connection = None;
        }
        self.latencies.record(started.elapsed());
        answer
    }

    async fn post(&mut self, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let request = Request::post(path)
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let connection = self.connect().await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        ensure!(status == StatusCode::OK, "{path} answered {status}");
        Ok(answer)
    }

    async fn connect(&mut self) -> anyhow::Result<&mut SendRequest<Full<Bytes>>> {
        if let Some(mut open) = self.connection.take()
            && open.ready().await.is_ok()
        {
            return Ok(self.connection.insert(open));
        }
        let stream = TcpStream::connect(self.address)
            .await
            .with_context(|| format!("cannot reach the extender at {}", self.address))?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with its sender.
        tokio::spawn(driver);
        Ok(self.connection.insert(connection))
    }
}

/// The pod as kube-scheduler would send it, as far as an extender may look.
fn object(pod: &Pod) -> Value {
    let labels: serde_json::Map<String, Value> = pod
        .shape
        .labels
        .iter()
        .map(|(key, value)| (key.to_string(), Value::from(value.as_str())))
        .collect();
    let requests = &pod.shape.requests;
    json!({
        "metadata": {
            "namespace": pod.key.namespace.as_str(),
            "name": pod.key.name.as_str(),
            "uid": pod.uid.as_str(),
            "labels": labels,
        },
        "spec": {
            "schedulerName": pod.shape.scheduler.as_str(),
            "priority": pod.shape.priority,
            "containers": [{
                "name": "main",
                "resources": { "requests": {
                    "cpu": format!("{}m", requests.cpu.0),
                    "memory": requests.memory.0.to_string(),
                } },
            }],
        },
        "status": { "phase": "Pending" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks_of_what_was_measured() {
        let latencies = Latencies::default();
        assert_eq!(latencies.figures(), Figures::default());
        for millis in (1..=100).rev() {
            latencies.record(Duration::from_millis(millis));
        }
        assert_eq!(latencies.figures(), Figures { calls: 100, p50: 50.0, p99: 99.0 });
    }
}
