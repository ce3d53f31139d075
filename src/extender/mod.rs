//! The scheduler extender: what kube-scheduler asks about every pod.
//!
//! `POST /filter`, `/prioritize`, `/preempt` and, if it is asked for, `/bind` (or under `/v1`), in
//! the wire format of `k8s.io/kube-scheduler/extender/v1`. What to answer is decided in
//! [`berth_solver::placement`]; here requests are read and answers written. An answer never waits
//! for anything: it comes out of the latest snapshot and the standing plan. Only `bind`, which is
//! a write to the API server, takes its time.
//!
//! kube-scheduler must send names only (`nodeCacheCapable: true`). A request with whole `Nodes`
//! is taken for a simulation, as Cluster Autoscaler makes them with nodes that don't exist, and
//! gets them all back.

mod answers;
mod bind;
mod preemption;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use berth_solver::model::{Pod, Snapshot};
use berth_solver::placement::{
    CRITICAL_PRIORITY, Candidates, Expected, Filtered, LOWEST_SCORE, Placer, PodInQuestion, Sent,
    Settings, StandingPlan,
};
use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_ENCODING, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::clock::Clock;
use crate::metrics::{Metrics, VerbCodeLabels, VerbLabels, VerdictLabels};
use crate::server::{Handler, Reply, json, text};
use crate::watch::{Interner, reduce};
use answers::{FilterResult, HostPriorities};
pub use bind::{Binder, Binding, KubeBinder};
use wire::{Question, WholePod};

const NO_POD: &str = "Pod is missing: expected the pod to be scheduled";
const NO_NAMES: &str = "NodeNames is missing: expected the names of the candidates \
                        (nodeCacheCapable: true in the scheduler's configuration)";

/// Everything that answers come out of.
#[derive(Clone)]
pub struct ExtenderState {
    /// The picture of the cluster.
    pub cache: Cache,
    /// Where pods are to go; written by the autoscaler.
    pub plan: Arc<ArcSwap<StandingPlan>>,
    /// How patient to be.
    pub settings: Settings,
    /// The clock that the autoscaler dates its plans by.
    pub clock: Clock,
    /// Counts calls and verdicts.
    pub metrics: Arc<Metrics>,
    /// Who binds; without one `bind` is not served, and kube-scheduler binds itself.
    pub binder: Option<Arc<dyn Binder>>,
}

/// Answers kube-scheduler.
pub struct Extender {
    state: ExtenderState,
    /// What belongs to the plan that was seen last.
    expected: ArcSwap<ExpectedBy>,
    /// Who was sent where a moment ago. kube-scheduler asks about one pod after the other.
    sent: ArcSwap<Sent>,
}

/// Which pods go where, by which plan.
#[derive(Default)]
struct ExpectedBy {
    plan: Arc<StandingPlan>,
    pods: Expected,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Filter,
    Prioritize,
    Preempt,
    Bind,
}

impl Verb {
    fn of_path(path: &str) -> Option<Self> {
        match path.strip_prefix("/v1").unwrap_or(path) {
            "/filter" => Some(Self::Filter),
            "/prioritize" => Some(Self::Prioritize),
            "/preempt" => Some(Self::Preempt),
            "/bind" => Some(Self::Bind),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Prioritize => "prioritize",
            Self::Preempt => "preempt",
            Self::Bind => "bind",
        }
    }
}

impl Handler for Extender {
    fn handle(&self, request: Request<Bytes>) -> Reply {
        let path = request.uri().path();
        let Some(verb) = Verb::of_path(path) else { return not_served(path).into() };
        if let Some(refused) = refuse(&request) {
            return refused.into();
        }
        let body = request.body();
        match verb {
            Verb::Filter => read(body, |question| {
                let filtered = self.filter(&question, body);
                written(body, |answer| filtered.write(answer))
            }),
            Verb::Prioritize => read(body, |question| {
                or_refuse(self.prioritize(&question), |scores| {
                    written(body, |answer| scores.write(answer))
                })
            }),
            Verb::Preempt => read(body, |question| {
                or_refuse(self.preempt(&question, body), |victims| answer(&victims, body))
            }),
            Verb::Bind => return self.bind(body),
        }
        .into()
    }

    fn answered(&self, path: &str, status: StatusCode, took: Duration) {
        let verb = Verb::of_path(path).map_or("other", Verb::as_str);
        let metrics = &self.state.metrics;
        let code = status.as_u16();
        metrics.extender_requests.get_or_create(&VerbCodeLabels { verb, code }).inc();
        metrics.extender_duration.get_or_create(&VerbLabels { verb }).observe(took.as_secs_f64());
    }
}

impl Extender {
    /// Answers out of this.
    pub fn new(state: ExtenderState) -> Self {
        Self { state, expected: ArcSwap::default(), sent: ArcSwap::default() }
    }

    fn filter<'a>(&self, question: &'a Question<'a>, body: &[u8]) -> FilterResult<'a> {
        let Some(pod) = question.pod.as_ref() else {
            return FilterResult::error(NO_POD);
        };
        match (&question.node_names, &question.nodes) {
            (Some(names), _) => {
                let pod = pod.in_question();
                self.decide_about(&pod, body, |placer, pod| {
                    let candidates = placer.candidates(names.iter().map(AsRef::as_ref));
                    let filtered = placer.filter(pod, &candidates);
                    if let Some((pod, node)) = placer.sends(pod, &filtered.outcome) {
                        let sent = self.sent.load().with(pod, node, placer.now);
                        self.sent.store(Arc::new(sent));
                    }
                    self.record(pod, &filtered);
                    FilterResult::of(candidates.names(), filtered.verdicts)
                })
            }
            (None, Some(nodes)) => FilterResult::echo(nodes),
            (None, None) => FilterResult::error(NO_NAMES),
        }
    }

    fn prioritize<'a>(
        &self,
        question: &'a Question<'a>,
    ) -> Result<HostPriorities<'a>, &'static str> {
        let pod = question.pod.as_ref().ok_or(NO_POD)?.in_question();
        match (&question.node_names, &question.nodes) {
            (Some(names), _) => {
                let scores = self.decide(|placer| {
                    let candidates = placer.candidates(names.iter().map(AsRef::as_ref));
                    let scores = placer.prioritize(&pod, &candidates);
                    candidates.names().iter().copied().zip(scores).collect::<Vec<_>>()
                });
                tracing::debug!(
                    pod = %format_args!("{}/{}", pod.namespace, pod.name),
                    uid = pod.uid,
                    candidates = scores.len(),
                    "prioritize"
                );
                Ok(HostPriorities(scores))
            }
            (None, Some(nodes)) => {
                let candidates = Candidates::of(None, wire::node_names(nodes));
                let scores = candidates.names().iter().map(|name| (*name, LOWEST_SCORE));
                Ok(HostPriorities(scores.collect()))
            }
            (None, None) => Err(NO_NAMES),
        }
    }

    fn preempt<'a>(
        &self,
        question: &'a preemption::Question<'a>,
        body: &[u8],
    ) -> Result<preemption::Answer<'a>, &'static str> {
        let pod = question.pod.as_ref().ok_or(NO_POD)?.in_question();
        let proposed = question.proposed();
        let proposals: Vec<_> = proposed.iter().map(|one| one.proposal.clone()).collect();
        let preempted =
            self.decide_about(&pod, body, |placer, pod| placer.preempt(pod, &proposals));
        tracing::debug!(
            pod = %format_args!("{}/{}", pod.namespace, pod.name),
            uid = pod.uid,
            verdict = preempted.outcome.as_str(),
            proposals = proposals.len(),
            stand = preempted.stands.iter().filter(|stands| **stands).count(),
            "preempt"
        );
        let kept = proposed.into_iter().zip(preempted.stands).filter(|(_, stands)| *stands);
        Ok(preemption::Answer::of(kept.map(|(proposed, _)| proposed).collect()))
    }

    fn bind(&self, body: &[u8]) -> Reply {
        let Some(binder) = self.state.binder.clone() else {
            let message = "this extender does not bind (--extender-bind is not given): take \
                           bindVerb out of the scheduler's configuration";
            return text(StatusCode::NOT_FOUND, message).into();
        };
        let binding: Binding = match serde_json::from_slice(body) {
            Ok(binding) => binding,
            Err(error) => return broken(&error).into(),
        };
        if let Some(field) = binding.missing() {
            let error = format!("{field} is empty: expected the pod and its node");
            return answer(&bind::Answer { error }, &[]).into();
        }
        Reply::Later(Box::pin(async move {
            let error = binder.bind(&binding).await.err().unwrap_or_default();
            let Binding { pod, namespace, node, uid } = &binding;
            let pod = format_args!("{namespace}/{pod}");
            if error.is_empty() {
                tracing::debug!(%pod, uid, node, "bound");
            } else {
                tracing::warn!(%pod, uid, node, error, "not bound");
            }
            answer(&bind::Answer { error }, &[])
        }))
    }

    /// As [`Extender::decide`], with all that the question's body says of a pod that no watch has
    /// shown yet.
    fn decide_about<T>(
        &self,
        pod: &PodInQuestion<'_>,
        body: &[u8],
        ask: impl FnOnce(&Placer<'_>, &PodInQuestion<'_>) -> T,
    ) -> T {
        self.decide(|placer| {
            let described = described(placer, pod, body);
            ask(placer, &PodInQuestion { described: described.as_ref(), ..*pod })
        })
    }

    /// Asks the solver with everything as it is now.
    fn decide<T>(&self, ask: impl FnOnce(&Placer<'_>) -> T) -> T {
        let state = &self.state;
        let snapshot = state.cache.is_synced().then(|| state.cache.snapshot());
        let plan = state.plan.load_full();
        // After the plan: one that is confirmed this very moment is not from the future.
        let now = state.clock.now();
        let expected = snapshot.as_deref().map(|snapshot| self.expected(&plan, snapshot));
        let sent = self.sent.load();
        ask(&Placer {
            sent: Some(&sent),
            snapshot: snapshot.as_deref(),
            plan: &plan,
            expected: expected.as_deref().map(|expected| &expected.pods),
            settings: state.settings,
            now,
        })
    }

    /// The plan the other way round. Made when a plan is seen for the first time, and brought up to
    /// date when pods or claims have changed since.
    fn expected(&self, plan: &Arc<StandingPlan>, snapshot: &Snapshot) -> Arc<ExpectedBy> {
        let latest = self.expected.load();
        let pods = match Arc::ptr_eq(&latest.plan, plan) {
            true if latest.pods.is_up_to_date(snapshot) => return Arc::clone(&latest),
            true => latest.pods.follow(plan, snapshot),
            false => Expected::of(plan, snapshot),
        };
        let expected = Arc::new(ExpectedBy { plan: Arc::clone(plan), pods });
        self.expected.store(Arc::clone(&expected));
        expected
    }

    fn record(&self, pod: &PodInQuestion<'_>, filtered: &Filtered) {
        let verdict = filtered.outcome.as_str();
        self.state.metrics.extender_verdicts.get_or_create(&VerdictLabels { verdict }).inc();
        tracing::debug!(
            pod = %format_args!("{}/{}", pod.namespace, pod.name),
            uid = pod.uid,
            verdict,
            target = filtered.outcome.target().map_or("", |name| name.as_str()),
            candidates = filtered.verdicts.len(),
            passed = filtered.verdicts.iter().filter(|refusal| refusal.is_none()).count(),
            "filter"
        );
    }
}

/// The pod as the question describes it, if no watch has shown it yet and room is held that it
/// could take. Reading all of it takes longer than answering: it is not done without need.
fn described(placer: &Placer<'_>, pod: &PodInQuestion<'_>, body: &[u8]) -> Option<Arc<Pod>> {
    if placer.plan.targets.is_empty() || pod.shown(placer.snapshot?).is_some() {
        return None;
    }
    let whole: WholePod = serde_json::from_slice(body).ok()?;
    Some(Arc::new(reduce::pod(&whole.pod, &Interner::new())))
}

/// Says what this extender does not serve.
fn not_served(path: &str) -> Response<Bytes> {
    let message = format!(
        "{path}: this extender serves /filter, /prioritize, /preempt and /bind; take other verbs \
         out of the scheduler's configuration"
    );
    text(StatusCode::NOT_FOUND, message)
}

/// Says what is wrong with the way in which it is asked, if something is.
fn refuse(request: &Request<Bytes>) -> Option<Response<Bytes>> {
    if request.method() != Method::POST {
        let message = format!("{}: expected POST", request.method());
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, message);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return Some(response);
    }
    let encoding = request.headers().get(CONTENT_ENCODING)?;
    (encoding != "identity").then(|| {
        let message = "the body is compressed: expected plain JSON";
        text(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    })
}

/// Reads a question and answers it.
fn read<'a, T: Deserialize<'a>>(
    body: &'a [u8],
    answer: impl FnOnce(T) -> Response<Bytes>,
) -> Response<Bytes> {
    // All of it at once is looked through faster than string by string.
    let question = match std::str::from_utf8(body) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(body),
    };
    match question {
        Ok(question) => answer(question),
        Err(error) => broken(&error),
    }
}

fn broken(error: &serde_json::Error) -> Response<Bytes> {
    text(StatusCode::BAD_REQUEST, format!("the body is no ExtenderArgs: {error}"))
}

/// The answers of some verbs have no room for an error.
fn or_refuse<T>(
    result: Result<T, &'static str>,
    answer: impl FnOnce(T) -> Response<Bytes>,
) -> Response<Bytes> {
    result.map_or_else(|missing| text(StatusCode::BAD_REQUEST, missing), answer)
}

/// The answer to a question.
fn answer(result: &impl Serialize, question: &[u8]) -> Response<Bytes> {
    written(question, |body| serde_json::to_writer(body, result))
}

/// An answer as it is written. It names the nodes of the question with a little about each: twice
/// the question's size is mostly enough, so that the answer need not move while it grows.
fn written(
    question: &[u8],
    write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
) -> Response<Bytes> {
    let mut body = Vec::with_capacity(2 * question.len().max(128));
    match write(&mut body) {
        Ok(()) => json(StatusCode::OK, body.into()),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Whether a pod of this priority or this built-in class is one that the system cannot live
/// without.
fn is_critical(priority: Option<i32>, class: Option<&str>) -> bool {
    priority.is_some_and(|priority| priority >= CRITICAL_PRIORITY)
        || matches!(class, Some("system-node-critical" | "system-cluster-critical"))
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
