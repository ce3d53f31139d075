//! Patterns and CEL rules of the schemas, as Karpenter v1 has them.

use serde::Serialize;

/// One entry of `x-kubernetes-validations`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Rule {
    message: &'static str,
    rule: &'static str,
}

/// A qualified label key: an optional DNS prefix and a name.
pub(super) const LABEL_KEY: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*(\/))?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$";
/// The longest qualified label key: a DNS prefix of 253, a slash, a name of 62.
pub(super) const LABEL_KEY_LENGTH: u32 = 316;
/// A label value; it may be empty.
pub(super) const LABEL_VALUE: &str = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
/// The longest label value.
pub(super) const LABEL_VALUE_LENGTH: u32 = 63;
/// A resource quantity.
pub(super) const QUANTITY: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";
/// An API group: anything but a group with its version.
pub(super) const API_GROUP: &str = r"^[^/]*$";
/// A duration of whole hours, minutes and seconds.
pub(super) const DURATION: &str = r"^([0-9]+(s|m|h))+$";
/// The same, or `Never`.
pub(super) const DURATION_OR_NEVER: &str = r"^(([0-9]+(s|m|h))+|Never)$";
/// How long a budget is open: cron knows no seconds, but Go prints a closing `0s`.
pub(super) const BUDGET_DURATION: &str = r"^((([0-9]+(h|m))|([0-9]+h[0-9]+m))(0s)?)$";
/// A count or a percentage.
pub(super) const BUDGET_NODES: &str = r"^((100|[0-9]{1,2})%|[0-9]+)$";
/// A cron expression of five fields, or one of the names that stand for one.
pub(super) const BUDGET_SCHEDULE: &str =
    r"^(@(annually|yearly|monthly|weekly|daily|midnight|hourly))|((.+)\s(.+)\s(.+)\s(.+)\s(.+))$";
/// The type of a condition.
pub(super) const CONDITION_TYPE: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$";
/// The reason of a condition; it may be empty.
pub(super) const CONDITION_REASON: &str = r"^([A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?|)$";

/// A UUID.
pub(super) const UUID: &str = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// CPU, as the Exoscale node class takes it.
pub(super) const EXOSCALE_CPU: &str = r"^(\d+(m|[.])?(\d+)?|\d+m)$";
/// Bytes, as the Exoscale node class takes them.
pub(super) const EXOSCALE_BYTES: &str = r"^(\d+(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?)$";
/// A registry's host name.
pub(super) const EXOSCALE_REGISTRY: &str = r"^[a-zA-Z0-9._-]+$";

/// `spec` of a NodeClaim.
pub(super) const SPEC_IS_IMMUTABLE: Rule =
    Rule { message: "spec is immutable", rule: "self == oldSelf" };

/// `replicas` makes a NodePool static, for good.
pub(super) const STATIC_STAYS_STATIC: Rule = Rule {
    message: "Cannot transition NodePool between static (replicas set) and dynamic (replicas unset) provisioning modes",
    rule: "has(self.replicas) == has(oldSelf.replicas)",
};
/// A static NodePool has its size from `replicas`.
pub(super) const STATIC_LIMITS: Rule = Rule {
    message: "only 'limits.nodes' is supported on static NodePools",
    rule: "!has(self.replicas) || !has(self.limits) || self.limits.all(name, name == 'nodes')",
};
/// A static NodePool takes no part in the choice that weights decide.
pub(super) const STATIC_WEIGHT: Rule = Rule {
    message: "'weight' is not supported on static NodePools",
    rule: "!(has(self.replicas) && has(self.weight))",
};

/// A PodTemplate has no replicas to take a percentage of.
pub(super) const BUFFER_HAS_SIZE: Rule = Rule {
    message: "with podTemplateRef, replicas or limits must be set",
    rule: "!has(self.podTemplateRef) || has(self.replicas) || has(self.limits)",
};
/// What one place is for is said once.
pub(super) const BUFFER_HAS_ONE_REFERENCE: Rule = Rule {
    message: "podTemplateRef and scalableRef exclude each other",
    rule: "!(has(self.podTemplateRef) && has(self.scalableRef))",
};

/// `group` of a node class reference.
pub(super) const GROUP_NOT_EMPTY: Rule =
    Rule { message: "group may not be empty", rule: "self != ''" };
/// `kind` of a node class reference.
pub(super) const KIND_NOT_EMPTY: Rule =
    Rule { message: "kind may not be empty", rule: "self != ''" };
/// `name` of a node class reference.
pub(super) const NAME_NOT_EMPTY: Rule =
    Rule { message: "name may not be empty", rule: "self != ''" };
/// A NodePool cannot go to another cloud.
pub(super) const GROUP_IS_IMMUTABLE: Rule =
    Rule { message: "nodeClassRef.group is immutable", rule: "self.group == oldSelf.group" };
/// A NodePool cannot go to another kind of node class.
pub(super) const KIND_IS_IMMUTABLE: Rule =
    Rule { message: "nodeClassRef.kind is immutable", rule: "self.kind == oldSelf.kind" };

/// A budget has both of `schedule` and `duration`, or neither.
pub(super) const SCHEDULE_WITH_DURATION: Rule = Rule {
    message: "'schedule' must be set with 'duration'",
    rule: "self.all(budget, has(budget.schedule) == has(budget.duration))",
};

/// `In` without values would allow nothing.
pub(super) const IN_HAS_VALUES: Rule = Rule {
    message: "requirements with operator 'In' must have a value defined",
    rule: "self.all(x, x.operator != 'In' || (has(x.values) && size(x.values) > 0))",
};
/// The comparisons take one integer.
pub(super) const COMPARISON_HAS_INTEGER: Rule = Rule {
    message: "requirements operator 'Gt', 'Lt', 'Gte', or 'Lte' must have a single positive integer value",
    rule: "self.all(x, !(x.operator in ['Gt', 'Lt', 'Gte', 'Lte']) || (has(x.values) && size(x.values) == 1 && x.values[0].matches('^[0-9]{1,18}$')))",
};
/// What is asked for must be possible.
pub(super) const MIN_VALUES_POSSIBLE: Rule = Rule {
    message: "requirements with 'minValues' must have at least that many values specified in the 'values' field",
    rule: "self.all(x, x.operator != 'In' || !has(x.minValues) || (has(x.values) && size(x.values) >= x.minValues))",
};

/// Template labels: which NodePool a node is of is not the template's to say.
pub(super) const LABELS_NOT_NODEPOOL: Rule = Rule {
    message: "label \"karpenter.sh/nodepool\" is restricted",
    rule: "!('karpenter.sh/nodepool' in self)",
};
/// Template labels: each node has a host name of its own.
pub(super) const LABELS_NOT_HOSTNAME: Rule = Rule {
    message: "label \"kubernetes.io/hostname\" is restricted",
    rule: "!('kubernetes.io/hostname' in self)",
};
/// Template labels: the domain `karpenter.sh`, that of its subdomains included, is the
/// autoscaler's own.
pub(super) const LABELS_NOT_KARPENTER: Rule = Rule {
    message: "label domain \"karpenter.sh\" is restricted",
    rule: "self.all(key, key in ['karpenter.sh/capacity-type', 'karpenter.sh/nodepool'] || !key.find('^([^/]+)').endsWith('karpenter.sh'))",
};
/// Requirement keys, as [`LABELS_NOT_NODEPOOL`]; NodeClaims may have it.
pub(super) const KEY_NOT_NODEPOOL: Rule = Rule {
    message: "label \"karpenter.sh/nodepool\" is restricted",
    rule: "self.all(x, x.key != 'karpenter.sh/nodepool')",
};
/// Requirement keys, as [`LABELS_NOT_HOSTNAME`].
pub(super) const KEY_NOT_HOSTNAME: Rule = Rule {
    message: "label \"kubernetes.io/hostname\" is restricted",
    rule: "self != 'kubernetes.io/hostname'",
};
/// Requirement keys, as [`LABELS_NOT_KARPENTER`].
pub(super) const KEY_NOT_KARPENTER: Rule = Rule {
    message: "label domain \"karpenter.sh\" is restricted",
    rule: "self in ['karpenter.sh/capacity-type', 'karpenter.sh/nodepool'] || !self.find('^([^/]+)').endsWith('karpenter.sh')",
};

/// A selector term of an Exoscale node class.
pub(super) const EXOSCALE_ID_OR_NAME: Rule = Rule {
    message: "exactly one of id or name must be specified",
    rule: "(has(self.id) && !has(self.name)) || (!has(self.id) && has(self.name))",
};
/// Image garbage collection stops below where it starts.
pub(super) const EXOSCALE_GC_THRESHOLDS: Rule = Rule {
    message: "imageGCLowThresholdPercent must be less than imageGCHighThresholdPercent",
    rule: "!has(self.kubelet) || !has(self.kubelet.imageGCHighThresholdPercent) || !has(self.kubelet.imageGCLowThresholdPercent) || self.kubelet.imageGCLowThresholdPercent < self.kubelet.imageGCHighThresholdPercent",
};
/// One template, named in one way.
pub(super) const EXOSCALE_ONE_TEMPLATE: Rule = Rule {
    message: "exactly one of templateID or imageTemplateSelector must be specified",
    rule: "(has(self.templateID) && !has(self.imageTemplateSelector)) || (!has(self.templateID) && has(self.imageTemplateSelector))",
};
/// The existing provider's rule reads `mirrors` where there may be none, and so refuses a registry
/// with credentials only. This one and the next look first.
pub(super) const EXOSCALE_TLS_SECRETS: Rule = Rule {
    message: "containerRegistry.mirrors[*].endpoints[*].tlsSecretRef.name must be non-empty when set",
    rule: "!has(self.containerRegistry) || !has(self.containerRegistry.mirrors) || self.containerRegistry.mirrors.all(m, m.endpoints.all(e, !has(e.tlsSecretRef) || (has(e.tlsSecretRef.name) && size(e.tlsSecretRef.name) > 0)))",
};
/// A registry is told one thing.
pub(super) const EXOSCALE_ONE_CREDENTIAL: Rule = Rule {
    message: "each containerRegistry.credentials entry must declare exactly one of basic/auth/identityToken",
    rule: "!has(self.containerRegistry) || !has(self.containerRegistry.credentials) || self.containerRegistry.credentials.all(c, [has(c.basic), has(c.auth), has(c.identityToken)].filter(x, x).size() == 1)",
};
/// Both write the same part of the user data.
pub(super) const EXOSCALE_USER_DATA_OR_REGISTRY: Rule = Rule {
    message: "userData and containerRegistry are mutually exclusive; configure container registry via the structured containerRegistry field only",
    rule: "!(has(self.userData) && size(self.userData) > 0 && has(self.containerRegistry))",
};
/// kubelet starts with the policy `static` only if some CPU is reserved.
pub(super) const EXOSCALE_STATIC_CPUS: Rule = Rule {
    message: "cpuManagerPolicy 'static' requires a non-zero cpu reservation in kube-reserved or system-reserved",
    rule: "!has(self.kubelet) || !has(self.kubelet.cpuManagerPolicy) || self.kubelet.cpuManagerPolicy != 'static' || ((has(self.kubelet.kubeReserved) && has(self.kubelet.kubeReserved.cpu) && self.kubelet.kubeReserved.cpu != '0') || (has(self.kubelet.systemReserved) && has(self.kubelet.systemReserved.cpu) && self.kubelet.systemReserved.cpu != '0'))",
};
/// Options belong to a policy.
pub(super) const EXOSCALE_CPU_OPTIONS: Rule = Rule {
    message: "cpuManagerPolicyOptions requires cpuManagerPolicy to be 'static'",
    rule: "!has(self.cpuManagerPolicyOptions) || (has(self.cpuManagerPolicy) && self.cpuManagerPolicy == 'static')",
};

/// A DNS label.
pub(super) const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// A DNS subdomain.
pub(super) const DNS_SUBDOMAIN: &str =
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// An amount of money: up to 99,999,999.99.
pub(super) const MONEY: &str = r"^(0|[1-9][0-9]{0,7})(\.[0-9]{1,2})?$";
/// What a cloud calls something by itself.
pub(super) const CLOUD_ID: &str = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// Addresses: a network and the length of its prefix.
pub(super) const CIDR: &str = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$";

/// Claims that are there would be lost with the old CustomResourceDefinition.
pub(super) const CLAIM_IDENTITY_IS_IMMUTABLE: Rule = Rule {
    message: "group, version, names.kind, names.plural and service are immutable: make another ClaimDefinition",
    rule: "self.group == oldSelf.group && self.version == oldSelf.version && self.names.kind == oldSelf.names.kind && self.names.plural == oldSelf.names.plural && self.service == oldSelf.service",
};
/// A default has to be one of the sizes.
pub(super) const CLAIM_DEFAULT_SIZE: Rule = Rule {
    message: "defaultSize must be one of the sizes",
    rule: "!has(self.defaultSize) || self.sizes.exists(size, size.name == self.defaultSize)",
};
/// Groups that belong to others: who may write definitions must not be able to replace their kinds.
pub(super) const CLAIM_GROUP_IS_FREE: Rule = Rule {
    message: "group must be one of your own with a dot in it: not of k8s.io, kubernetes.io, karpenter.sh, crossplane.io, cnpg.io or claims.berth.sh",
    rule: "self.contains('.') && !['k8s.io', 'kubernetes.io', 'karpenter.sh', 'karpenter.exoscale.com', 'crossplane.io', 'cnpg.io', 'claims.berth.sh'].exists(taken, self == taken || self.endsWith('.' + taken))",
};
/// Bounds the wrong way round would refuse every claim.
pub(super) const CLAIM_BOUNDS_IN_ORDER: Rule = Rule {
    message: "minimum must not be greater than maximum",
    rule: "!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum",
};
/// What was created stays where it is.
pub(super) const PROVIDER_IDENTITY_IS_IMMUTABLE: Rule = Rule {
    message: "type, region and project are immutable: make another ClaimProvider",
    rule: "self.type == oldSelf.type && has(self.region) == has(oldSelf.region) && (!has(self.region) || self.region == oldSelf.region) && has(self.project) == has(oldSelf.project) && (!has(self.project) || self.project == oldSelf.project)",
};
/// A cloud is called somewhere, as somebody.
pub(super) const PROVIDER_CLOUD_NEEDS: Rule = Rule {
    message: "region and credentialsSecretRef are required, but for type kubernetes, which has neither",
    rule: "self.type == 'kubernetes' ? !has(self.region) && !has(self.credentialsSecretRef) : has(self.region) && has(self.credentialsSecretRef)",
};
/// OVH and Scaleway keep everything in projects.
pub(super) const PROVIDER_PROJECT: Rule = Rule {
    message: "project is required for the types ovh and scaleway, and for no other",
    rule: "has(self.project) == (self.type in ['ovh', 'scaleway'])",
};
/// What a size is has to be said in the provider's words.
pub(super) const PROVIDER_SIZES_HAVE_PLANS: Rule = Rule {
    message: "each size needs a plan, or for type kubernetes cpu, memory and storageGB",
    rule: "self.sizes.all(size, self.type == 'kubernetes' ? size.service == 'PostgreSQL' && !has(size.plan) && has(size.cpu) && has(size.memory) && has(size.storageGB) : has(size.plan) && !has(size.cpu) && !has(size.memory))",
};
/// An unknown price is not free.
pub(super) const PROVIDER_SIZES_HAVE_PRICES: Rule = Rule {
    message: "each size needs pricePerMonth, but for type kubernetes, which has neither it nor pricePerGB: there the price is what the cluster has to add",
    rule: "self.sizes.all(size, self.type == 'kubernetes' ? !has(size.pricePerMonth) && !has(size.pricePerGB) : has(size.pricePerMonth))",
};
/// Who is in the network may connect, and nobody else can.
pub(super) const PROVIDER_PRIVATE_NETWORK: Rule = Rule {
    message: "postgresql.privateNetwork is for type scaleway, and instead of postgresql.allowedCIDRs",
    rule: "!has(self.postgresql) || !has(self.postgresql.privateNetwork) || (self.type == 'scaleway' && !has(self.postgresql.allowedCIDRs))",
};
/// A machine without an image cannot start.
pub(super) const PROVIDER_MACHINES: Rule = Rule {
    message: "virtualMachine (with images) is required where a size is one of VirtualMachine",
    rule: "has(self.virtualMachine) || self.sizes.all(size, size.service != 'VirtualMachine')",
};
