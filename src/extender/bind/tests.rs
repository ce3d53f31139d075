//! Against an API server that keeps one pod and takes bindings as the real one does.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::{Method, Request, StatusCode};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::server::{self, Handler, Limits, Reply};

#[derive(Default)]
struct State {
    uid: &'static str,
    node: Option<String>,
    /// Bindings that are carried out but answered 500, as a lost answer looks.
    lost_answers: usize,
    posts: usize,
}

#[derive(Clone, Default)]
struct FakeApi(Arc<Mutex<State>>);

fn status(code: StatusCode, reason: &str) -> Reply {
    let success = if code.is_success() { "Success" } else { "Failure" };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": success,
        "reason": reason, "message": reason, "code": code.as_u16(),
    });
    server::json(code, status.to_string().into()).into()
}

impl Handler for FakeApi {
    fn handle(&self, request: Request<Bytes>) -> Reply {
        let mut state = self.0.lock();
        if request.method() == Method::GET {
            assert_eq!(request.uri().path(), "/api/v1/namespaces/shop/pods/web");
            if state.uid.is_empty() {
                return status(StatusCode::NOT_FOUND, "NotFound");
            }
            let pod = json!({
                "kind": "Pod", "apiVersion": "v1",
                "metadata": { "name": "web", "namespace": "shop", "uid": state.uid },
                "spec": { "containers": [], "nodeName": state.node },
            });
            return server::json(StatusCode::OK, pod.to_string().into()).into();
        }
        assert_eq!(request.uri().path(), "/api/v1/namespaces/shop/pods/web/binding");
        state.posts += 1;
        let binding: Value = serde_json::from_slice(request.body()).unwrap();
        if state.uid.is_empty() {
            return status(StatusCode::NOT_FOUND, "NotFound");
        }
        if binding["metadata"]["uid"] != state.uid || state.node.is_some() {
            return status(StatusCode::CONFLICT, "Conflict");
        }
        state.node = binding["target"]["name"].as_str().map(str::to_owned);
        if state.lost_answers > 0 {
            state.lost_answers -= 1;
            return status(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
        status(StatusCode::CREATED, "")
    }
}

async fn binder(state: State) -> (KubeBinder, FakeApi) {
    let api = FakeApi(Arc::new(Mutex::new(state)));
    let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.address()).parse().unwrap();
    let serving =
        listener.serve(Arc::new(api.clone()), Limits::default(), CancellationToken::new());
    tokio::spawn(serving);
    let client = kube::Client::try_from(kube::Config::new(url)).unwrap();
    (KubeBinder::new(client), api)
}

fn to(node: &str) -> Binding {
    let text = |text: &str| text.to_owned();
    Binding { pod: text("web"), namespace: text("shop"), uid: text("u1"), node: text(node) }
}

#[tokio::test]
async fn bind_and_again_the_same_is_success_and_another_node_is_an_error() {
    let (binder, api) = binder(State { uid: "u1", ..State::default() }).await;
    assert_eq!(binder.bind(&to("a")).await, Ok(()));
    assert_eq!(binder.bind(&to("a")).await, Ok(()), "409, and the pod is there already");
    let error = binder.bind(&to("b")).await.unwrap_err();
    assert!(error.ends_with("the pod with UID u1 is bound to a"), "{error}");
    let state = api.0.lock();
    assert_eq!((state.node.as_deref(), state.posts), (Some("a"), 3));
}

#[tokio::test]
async fn bind_timeout_then_retry_finds_the_work_done() {
    let lost = State { uid: "u1", lost_answers: 1, ..State::default() };
    let (binder, api) = binder(lost).await;
    assert_eq!(binder.bind(&to("a")).await, Ok(()), "the answer was lost, not the binding");
    assert_eq!(binder.bind(&to("a")).await, Ok(()));
    assert_eq!(api.0.lock().node.as_deref(), Some("a"));
}

#[tokio::test]
async fn bind_of_a_name_with_a_new_uid_is_refused() {
    let (binder, api) = binder(State { uid: "u2", ..State::default() }).await;
    let error = binder.bind(&to("a")).await.unwrap_err();
    assert!(error.ends_with("the pod with UID u2 is not bound"), "{error}");
    assert_eq!(api.0.lock().node, None);
}

#[tokio::test]
async fn bind_of_a_pod_that_is_gone_is_an_error() {
    let (binder, _api) = binder(State::default()).await;
    let error = binder.bind(&to("a")).await.unwrap_err();
    assert!(error.ends_with("there is no such pod"), "{error}");
}
