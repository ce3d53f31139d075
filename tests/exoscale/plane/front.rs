//! What the daemons take for the API server: the API server, but for its version, which a test
//! may raise. A second kube-apiserver of another version would answer `/version` no differently.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The front while it runs.
pub struct Front {
    version: Arc<Mutex<Option<String>>>,
    kubeconfig: PathBuf,
    _accepting: JoinSet<()>,
}

impl Front {
    /// Starts it for whoever a kubeconfig is for: calls are made with their rights.
    pub async fn of(kubeconfig: &Path) -> Self {
        let mut theirs = Kubeconfig::read_from(kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(theirs.clone(), &options).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        for named in &mut theirs.clusters {
            let cluster = named.cluster.as_mut().unwrap();
            cluster.server = Some(format!("http://{address}"));
            cluster.certificate_authority = None;
        }
        let path = kubeconfig.with_extension("front.kubeconfig");
        std::fs::write(&path, serde_json::to_string(&theirs).unwrap()).unwrap();
        let version = Arc::default();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, client, Arc::clone(&version)));
        Self { version, kubeconfig: path, _accepting: accepting }
    }

    /// The kubeconfig that leads here.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The API server's version from now on, such as `1.36.3`.
    pub fn upgrade_to(&self, version: &str) {
        *self.version.lock() = Some(format!("v{version}"));
    }
}

async fn accept(listener: TcpListener, client: Client, version: Arc<Mutex<Option<String>>>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (client, version) = (client.clone(), Arc::clone(&version));
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let version = version.lock().clone();
                answer(client.clone(), request, version)
            });
            // A daemon that dies leaves its connections.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    client: Client,
    request: Request<Incoming>,
    version: Option<String>,
) -> Result<Response<Body>, Infallible> {
    let asks_version = request.uri().path() == "/version";
    let (mut head, body) = request.into_parts();
    head.headers.remove(HOST);
    let body = body
        .collect()
        .await
        .map(|body| Body::from(body.to_bytes()))
        .unwrap_or_else(|_| Body::empty());
    let Ok(answer) = client.send(Request::from_parts(head, body)).await else {
        let response = Response::builder().status(502).body(Body::empty());
        return Ok(response.unwrap());
    };
    let Some(version) = version.filter(|_| asks_version) else { return Ok(answer) };
    let (mut head, body) = answer.into_parts();
    let said = body.collect().await.unwrap().to_bytes();
    let mut said: Value = serde_json::from_slice(&said).unwrap();
    said["gitVersion"] = version.into();
    head.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(said.to_string().into_bytes())))
}
