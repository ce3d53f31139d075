//! Why a pod is where it is, or waits.

use berth_solver::decisions::Answer;
use berth_solver::model::{DoNotDisrupt, Name, Pod, PodKey, Target, well_known::condition};

use super::{Explanation, NotThere, Picture, Subject, fact};

impl Picture<'_> {
    pub(super) fn pod(&self, subject: &Subject, key: &PodKey) -> Result<Explanation, NotThere> {
        let Some(pod) = self.snapshot.pods.get(key) else {
            let hint = " (pods that have ended are not kept)".to_owned();
            return Err(NotThere(subject.to_string(), hint));
        };
        let fate = match &pod.node {
            Some(node) => self.bound(pod, node),
            None => self.waiting(pod),
        };
        let requests = &pod.shape.requests;
        let facts = vec![
            fact("asks for", requests),
            fact("scheduler", &pod.shape.scheduler),
            fact("priority", pod.shape.priority),
            fact("created", self.ago(pod.created)),
        ];
        Ok(self.explained(subject, fate, facts))
    }

    fn bound(&self, pod: &Pod, node: &Name) -> (String, Vec<String>) {
        let mut reasons = Vec::new();
        match pod.do_not_disrupt {
            DoNotDisrupt::Never => {
                reasons.push("it forbids that its node be disrupted".to_owned());
            }
            DoNotDisrupt::For(time) if pod.forbids_disruption(self.now) => {
                let time = time.as_secs();
                reasons.push(format!("it forbids that its node be disrupted for {time} s"));
            }
            DoNotDisrupt::For(_) | DoNotDisrupt::Allowed => {}
        }
        if pod.belongs_to_node() {
            reasons.push("it belongs to its node, and goes when that goes".to_owned());
        }
        if let Ok(of_node) = self.node(&Subject::Node(node.clone()), node) {
            reasons.push(format!("its node: {}", of_node.verdict));
        } else {
            reasons.push("its node is not in the cluster".to_owned());
        }
        let verdict = match pod.deleted {
            Some(_) => format!("it is ending on node {node}"),
            None => format!("it runs on node {node}"),
        };
        (verdict, reasons)
    }

    fn waiting(&self, pod: &Pod) -> (String, Vec<String>) {
        let left_out = if pod.deleted.is_some() {
            Some("it is being deleted".to_owned())
        } else if pod.gated {
            Some("it has scheduling gates: whoever set them must take them away".to_owned())
        } else if let Some(defect) = &pod.defect {
            Some(format!("it is left out of planning: {defect}"))
        } else if !self.schedulers.contains(&pod.shape.scheduler) {
            let (scheduler, served) = (&pod.shape.scheduler, self.schedulers.join(", "));
            Some(format!(
                "its scheduler is {scheduler}, and nodes are planned for those of {served} \
                 (--scheduler-name)"
            ))
        } else if self.snapshot.is_nominated(pod) {
            let node = pod.nominated_node.as_deref().unwrap_or_default();
            Some(format!("kube-scheduler evicts other pods for it on node {node}"))
        } else {
            None
        };
        if let Some(why) = left_out {
            return ("it waits, and nothing is planned for it".to_owned(), vec![why]);
        }
        match self.standing.targets.get(&pod.uid) {
            Some(target) => self.planned(target),
            None => ("it waits: it has no place yet".to_owned(), vec![self.no_place(pod)]),
        }
    }

    fn planned(&self, target: &Target) -> (String, Vec<String>) {
        let mut reasons = Vec::new();
        if !self.standing.is_good_at(self.now) {
            reasons.push("that plan is stale: it may go anywhere".to_owned());
        }
        let verdict = match target {
            Target::Node(node) => {
                let of_node = self.node(&Subject::Node(node.clone()), node);
                reasons.push(match of_node {
                    Ok(of_node) => format!("that node: {}", of_node.verdict),
                    Err(gone) => gone.to_string(),
                });
                format!("it waits for kube-scheduler: it is planned for node {node}")
            }
            Target::Claim(claim) => {
                let of_claim = self.claim(&Subject::NodeClaim(claim.clone()), claim);
                match of_claim {
                    Ok(of_claim) => {
                        reasons.push(format!("that node: {}", of_claim.verdict));
                        reasons.extend(of_claim.reasons);
                    }
                    Err(_) => reasons.push("its NodeClaim is being created".to_owned()),
                }
                let up = self.snapshot.claims.get(claim);
                if up.is_some_and(|claim| claim.is(condition::INITIALIZED)) {
                    format!("it waits for kube-scheduler: it is planned for the node of {claim}")
                } else {
                    format!("it waits for its node: it is planned for that of NodeClaim {claim}")
                }
            }
        };
        (verdict, reasons)
    }

    fn no_place(&self, pod: &Pod) -> String {
        let Some(decision) = &self.latest.plan else {
            return "no plan has been made yet".to_owned();
        };
        let at = self.ago(decision.at);
        let Answer::Plan(Some(plan)) = &decision.answer else {
            return format!("the last plan, {at}, did not pass the checker: see the log");
        };
        match plan.unschedulable.iter().find(|one| one.uid == pod.uid) {
            Some(one) => format!("the last plan, {at}: {}", one.reason),
            None => format!("the last plan, {at}, did not look at it: the next one will"),
        }
    }
}
