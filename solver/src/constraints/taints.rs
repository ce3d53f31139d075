//! Taints and tolerations. `PreferNoSchedule` is a preference, not a rule.

use crate::model::{PodShape, Taint, TaintEffect};

/// Whether the pod tolerates every taint that would keep it off.
pub fn check(shape: &PodShape, taints: &[Taint]) -> bool {
    shape.first_untolerated(taints).is_none()
}

/// Whether it tolerates the `PreferNoSchedule` taints as well.
pub fn is_welcome(shape: &PodShape, taints: &[Taint]) -> bool {
    taints
        .iter()
        .filter(|taint| taint.effect == TaintEffect::PreferNoSchedule)
        .all(|taint| shape.tolerates(taint))
}

/// The first taint that it does not tolerate.
pub fn explain(shape: &PodShape, taints: &[Taint]) -> Option<String> {
    shape.first_untolerated(taints).map(|taint| {
        let value = if taint.value.is_empty() { "" } else { "=" };
        let effect = match taint.effect {
            TaintEffect::NoExecute => "NoExecute",
            TaintEffect::NoSchedule | TaintEffect::PreferNoSchedule => "NoSchedule",
        };
        format!("taint {}{value}{}:{effect} is not tolerated", taint.key, taint.value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::testing::shape;
    use crate::model::{Name, Toleration, TolerationOperator};

    fn taint(key: &str, value: &str, effect: TaintEffect) -> Taint {
        Taint { key: Name::from(key), value: Name::from(value), effect }
    }

    #[test]
    fn a_taint_keeps_off_who_does_not_tolerate_it() {
        let platform = [taint("platform", "true", TaintEffect::NoSchedule)];
        let mut pod = shape();
        assert_eq!(
            explain(&pod, &platform).as_deref(),
            Some("taint platform=true:NoSchedule is not tolerated")
        );
        let toleration = |key: &str, value: &str, operator, effect| Toleration {
            key: Name::from(key),
            operator,
            value: Name::from(value),
            effect,
        };
        let cases = [
            (toleration("platform", "true", TolerationOperator::Equal, None), true),
            (toleration("platform", "no", TolerationOperator::Equal, None), false),
            (toleration("platform", "", TolerationOperator::Exists, None), true),
            (toleration("", "", TolerationOperator::Exists, None), true),
            (toleration("", "", TolerationOperator::Exists, Some(TaintEffect::NoExecute)), false),
        ];
        for (toleration, tolerated) in cases {
            pod.tolerations = Box::from([toleration]);
            assert_eq!(check(&pod, &platform), tolerated, "{:?}", pod.tolerations);
        }
    }

    #[test]
    fn a_soft_taint_only_makes_unwelcome() {
        let soft = [taint("old", "", TaintEffect::PreferNoSchedule)];
        assert!(check(&shape(), &soft));
        assert!(!is_welcome(&shape(), &soft));
    }
}
