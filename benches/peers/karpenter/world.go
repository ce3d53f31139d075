package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/awslabs/operatorpkg/status"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/karpenter/kwok/apis"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/controllers/provisioning"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/events"
	"sigs.k8s.io/karpenter/pkg/operator/injection"
	"sigs.k8s.io/karpenter/pkg/operator/options"
)

// world is a cluster in memory, with Karpenter's own picture of it.
type world struct {
	client      client.Client
	shop        *shop
	cluster     *state.Cluster
	clock       *jumpingClock
	recorder    events.Recorder
	provisioner *provisioning.Provisioner
	pending     []*corev1.Pod
}

// settings are Karpenter's defaults.
func settings(ctx context.Context, workers int) context.Context {
	return options.ToContext(injection.WithControllerName(ctx, "provisioner"), &options.Options{
		CPURequests:       int64(workers) * 1000,
		PreferencePolicy:  options.PreferencePolicyRespect,
		MinValuesPolicy:   options.MinValuesPolicyStrict,
		BatchMaxDuration:  10 * time.Second,
		BatchIdleDuration: time.Second,
		IgnoreDRARequests: true,
		FeatureGates:      options.FeatureGates{ReservedCapacity: true},
	})
}

func newWorld(ctx context.Context, read *objects, instanceTypes []*cloudprovider.InstanceType) (*world, error) {
	read.expand()
	if len(read.pools) == 0 {
		pool := &v1.NodePool{}
		pool.Name = "default"
		identify("NodePool", pool)
		read.pools = []*v1.NodePool{pool}
	}
	w := &world{
		shop:     &shop{instanceTypes},
		clock:    newJumpingClock(),
		recorder: events.NewRecorder(&record.FakeRecorder{}),
	}
	existing := read.others
	for _, pool := range read.pools {
		ready(pool)
		existing = append(existing, pool)
	}
	bound := map[string]bool{}
	for _, node := range read.nodes {
		bound[node.Name] = true
		existing = append(existing, up(node))
		if claim := claimOf(node, read.pools, w.clock.Now()); claim != nil {
			existing = append(existing, claim)
		}
	}
	for _, pod := range read.pods {
		read.settle(pod, w.clock.Now())
		switch {
		case pod.Spec.NodeName == "":
			w.pending = append(w.pending, pod)
		case bound[pod.Spec.NodeName]:
			existing = append(existing, pod)
		}
	}
	w.client = newClient(existing)
	w.cluster = state.NewCluster(w.clock, w.client, w.shop)
	w.provisioner = provisioning.NewProvisioner(w.client, w.recorder, w.shop, w.cluster, w.clock, nil, nil)
	return w, w.learn(ctx, existing)
}

func newClient(existing []client.Object) client.Client {
	return fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(existing...).
		WithIndex(&corev1.Pod{}, "spec.nodeName", func(object client.Object) []string {
			return []string{object.(*corev1.Pod).Spec.NodeName}
		}).
		WithIndex(&corev1.Node{}, "spec.providerID", func(object client.Object) []string {
			return []string{object.(*corev1.Node).Spec.ProviderID}
		}).
		WithIndex(&v1.NodeClaim{}, "status.providerID", func(object client.Object) []string {
			return []string{object.(*v1.NodeClaim).Status.ProviderID}
		}).
		WithIndex(&storagev1.VolumeAttachment{}, "spec.nodeName", func(object client.Object) []string {
			return []string{object.(*storagev1.VolumeAttachment).Spec.NodeName}
		}).
		Build()
}

// learn tells Karpenter's picture of the cluster what there is, as its informers would.
func (w *world) learn(ctx context.Context, existing []client.Object) error {
	for _, object := range existing {
		if claim, ok := object.(*v1.NodeClaim); ok {
			w.cluster.UpdateNodeClaim(claim)
		}
	}
	for _, object := range existing {
		if node, ok := object.(*corev1.Node); ok {
			if err := w.cluster.UpdateNode(ctx, node); err != nil {
				return err
			}
		}
	}
	for _, object := range existing {
		if pod, ok := object.(*corev1.Pod); ok {
			if err := w.cluster.UpdatePod(ctx, pod); err != nil {
				return err
			}
		}
	}
	w.cluster.SetSynced(true)
	return nil
}

// ready makes a NodePool one that Karpenter's other controllers have looked at.
func ready(pool *v1.NodePool) {
	pool.Spec.Template.Spec.NodeClassRef = &v1.NodeClassReference{
		Group: apis.Group, Kind: "KWOKNodeClass", Name: "default",
	}
	disruption := &pool.Spec.Disruption
	if disruption.ConsolidationPolicy == "" {
		disruption.ConsolidationPolicy = v1.ConsolidationPolicyWhenEmptyOrUnderutilized
	}
	if disruption.ConsolidateAfter.Duration == nil && len(disruption.ConsolidateAfter.Raw) == 0 {
		disruption.ConsolidateAfter = v1.MustParseNillableDuration("0s")
	}
	if len(disruption.Budgets) == 0 {
		disruption.Budgets = []v1.Budget{{Nodes: "10%"}}
	}
	for _, condition := range []string{
		v1.ConditionTypeValidationSucceeded, v1.ConditionTypeNodeClassReady, status.ConditionReady,
	} {
		pool.StatusConditions().SetTrue(condition)
	}
}

// up fills in what a node's manifest may leave out.
func up(node *corev1.Node) *corev1.Node {
	if node.Spec.ProviderID == "" {
		node.Spec.ProviderID = "catalog://" + node.Name
	}
	if node.Labels == nil {
		node.Labels = map[string]string{}
	}
	if node.Labels[corev1.LabelHostname] == "" {
		node.Labels[corev1.LabelHostname] = node.Name
	}
	if len(node.Status.Allocatable) == 0 {
		node.Status.Allocatable = node.Status.Capacity
	}
	for _, list := range []corev1.ResourceList{node.Status.Capacity, node.Status.Allocatable} {
		if _, ok := list[corev1.ResourcePods]; !ok && list != nil {
			list[corev1.ResourcePods] = units(110)
		}
	}
	if !slices.ContainsFunc(node.Status.Conditions, func(one corev1.NodeCondition) bool { return one.Type == corev1.NodeReady }) {
		node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue,
		})
	}
	return node
}

// claimOf is the NodeClaim that a pool's node would have: in files they are often left out.
func claimOf(node *corev1.Node, pools []*v1.NodePool, now time.Time) *v1.NodeClaim {
	name := node.Labels[v1.NodePoolLabelKey]
	index := slices.IndexFunc(pools, func(pool *v1.NodePool) bool { return pool.Name == name })
	if index < 0 {
		return nil
	}
	node.Labels[v1.NodeRegisteredLabelKey] = "true"
	node.Labels[v1.NodeInitializedLabelKey] = "true"
	claim := &v1.NodeClaim{ObjectMeta: metav1.ObjectMeta{
		Name: node.Name, UID: types.UID("NodeClaim//" + node.Name), Labels: node.Labels,
		CreationTimestamp: metav1.NewTime(now.Add(-24 * time.Hour)),
	}}
	claim.Spec.NodeClassRef = pools[index].Spec.Template.Spec.NodeClassRef
	claim.Spec.Taints = node.Spec.Taints
	claim.Status.NodeName = node.Name
	claim.Status.ProviderID = node.Spec.ProviderID
	claim.Status.Capacity = node.Status.Capacity
	claim.Status.Allocatable = node.Status.Allocatable
	for _, condition := range []string{
		v1.ConditionTypeLaunched, v1.ConditionTypeRegistered, v1.ConditionTypeInitialized, v1.ConditionTypeConsolidatable,
	} {
		claim.StatusConditions().SetTrue(condition)
	}
	return claim
}

// settle fills in what admission and kube-scheduler would.
func (o *objects) settle(pod *corev1.Pod, now time.Time) {
	if pod.Spec.Priority == nil {
		if value, ok := o.priorities[pod.Spec.PriorityClassName]; ok {
			pod.Spec.Priority = &value
		}
	}
	if pod.Spec.NodeName != "" {
		if pod.Status.Phase == "" {
			pod.Status.Phase = corev1.PodRunning
		}
		return
	}
	if pod.Status.Phase == "" {
		pod.Status.Phase = corev1.PodPending
	}
	pod.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		LastTransitionTime: metav1.NewTime(now),
	}}
}

// isDaemon says whether a pod comes and goes with its node.
func isDaemon(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	return owner != nil && (owner.Kind == "DaemonSet" || owner.Kind == "Node")
}

func compareKeys(left, right *corev1.Pod) int {
	if order := strings.Compare(left.Namespace, right.Namespace); order != 0 {
		return order
	}
	return strings.Compare(left.Name, right.Name)
}

func fieldIs(field, value string) client.ListOption {
	return client.MatchingFields{field: value}
}
