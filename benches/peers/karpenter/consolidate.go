package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/controllers/disruption"
)

// consolidated is what consolidation came to.
type consolidated struct {
	Commands           []command `json:"commands"`
	PricePerHourBefore float64   `json:"pricePerHourBefore"`
	PricePerHourAfter  float64   `json:"pricePerHourAfter"`
	NodesBefore        int       `json:"nodesBefore"`
	NodesAfter         int       `json:"nodesAfter"`
	Evictions          int       `json:"evictions"`
	ElapsedMs          float64   `json:"elapsedMs"`
	Method             string    `json:"method"`
	PeakRssMib         float64   `json:"peakRssMib"`
	// Fixpoint is false where the number of commands ended it. Where the budgets allow nothing, it is
	// true.
	Fixpoint bool `json:"fixpoint"`
}

// command is one decision, carried out.
type command struct {
	Reason    string   `json:"reason"`
	Remove    []string `json:"remove"`
	Launch    []launch `json:"launch"`
	Evictions int      `json:"evictions"`
}

// consolidate has Karpenter's methods decide command by command, and carries each one out at once:
// nodes go, replacements are up, and pods are where the simulation put them.
//
// Each command is over before the next one is worked out, so that the budgets, too, count what is
// there then; most is how many commands there may be, 0 for as many as there are.
func (w *world) consolidate(ctx context.Context, most int) (*consolidated, error) {
	made := &consolidated{Commands: []command{}, Method: "karpenter " + version()}
	made.PricePerHourBefore, made.NodesBefore = w.bill(ctx)
	began := time.Now()
	for most == 0 || len(made.Commands) < most {
		done, err := w.step(ctx, len(made.Commands))
		if err != nil {
			return nil, err
		}
		if done == nil {
			made.Fixpoint = true
			break
		}
		made.Commands = append(made.Commands, *done)
		made.Evictions += done.Evictions
	}
	made.ElapsedMs = time.Since(began).Seconds() * 1e3
	made.PricePerHourAfter, made.NodesAfter = w.bill(ctx)
	made.PeakRssMib = peakRss()
	return made, nil
}

// step works the next command out and carries it out; nil when there is none.
func (w *world) step(ctx context.Context, number int) (*command, error) {
	queue := disruption.NewQueue(w.client, w.recorder, w.cluster, w.clock, w.provisioner)
	for _, method := range disruption.NewMethods(w.clock, w.cluster, w.client, w.provisioner, w.shop, w.recorder, queue) {
		candidates, totals, err := disruption.GetCandidatesWithTotals(
			ctx, w.cluster, w.client, w.recorder, w.clock, w.shop, method.ShouldDisrupt, method.Class(), queue, nil)
		if err != nil {
			return nil, err
		}
		if len(candidates) == 0 {
			continue
		}
		if setter, ok := method.(disruption.NodePoolTotalsSetter); ok {
			setter.SetNodePoolTotals(totals)
		}
		budgets, err := disruption.BuildDisruptionBudgetMapping(
			ctx, w.cluster, w.clock, w.client, w.shop, w.recorder, method.Reason())
		if err != nil {
			return nil, err
		}
		commands, err := method.ComputeCommands(ctx, budgets, candidates...)
		if err != nil {
			return nil, err
		}
		for _, one := range commands {
			if one.Decision() != disruption.NoOpDecision {
				return w.carryOut(ctx, one, string(method.Reason()), number)
			}
		}
	}
	return nil, nil
}

func (w *world) carryOut(ctx context.Context, decided disruption.Command, reason string, number int) (*command, error) {
	done := &command{Reason: reason, Remove: []string{}, Launch: []launch{}}
	target := map[types.UID]string{}
	for _, node := range decided.Results.ExistingNodes {
		for _, pod := range node.Pods {
			target[pod.UID] = node.Name()
		}
	}
	for index, replacement := range decided.Replacements {
		kind, sold, err := cheapest(replacement.InstanceTypeOptions, replacement.Requirements)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("%s-new-%04d-%d", replacement.NodePoolName, number, index)
		if err := w.launch(ctx, name, replacement.NodePoolName, kind, sold); err != nil {
			return nil, err
		}
		for _, pod := range replacement.Pods {
			target[pod.UID] = name
		}
		done.Launch = append(done.Launch, launch{
			Name: name, NodePool: replacement.NodePoolName, InstanceType: kind.Name, Zone: sold.Zone(),
			CapacityType: sold.CapacityType(), PricePerHour: sold.Price, Pods: names(replacement.Pods, map[types.UID]bool{}),
		})
	}
	for _, candidate := range decided.Candidates {
		moved, err := w.remove(ctx, candidate.Name(), candidate.NodeClaim, target)
		if err != nil {
			return nil, err
		}
		done.Evictions += moved
		done.Remove = append(done.Remove, candidate.Name())
	}
	slices.Sort(done.Remove)
	w.cluster.MarkUnconsolidated()
	return done, nil
}

// launch brings a node up.
func (w *world) launch(ctx context.Context, name, pool string, kind *cloudprovider.InstanceType, sold *cloudprovider.Offering) error {
	owner := &v1.NodePool{}
	if err := w.client.Get(ctx, types.NamespacedName{Name: pool}, owner); err != nil {
		return err
	}
	node := &corev1.Node{}
	node.Name = name
	node.Labels = map[string]string{v1.NodePoolLabelKey: pool}
	for key, value := range owner.Spec.Template.Labels {
		node.Labels[key] = value
	}
	for _, requirement := range kind.Requirements {
		if requirement.Operator() == corev1.NodeSelectorOpIn && requirement.Len() == 1 {
			node.Labels[requirement.Key] = requirement.Values()[0]
		}
	}
	node.Labels[corev1.LabelTopologyZone] = sold.Zone()
	node.Labels[v1.CapacityTypeLabelKey] = sold.CapacityType()
	node.Spec.Taints = owner.Spec.Template.Spec.Taints
	node.Status.Capacity, node.Status.Allocatable = kind.Capacity, kind.Allocatable()
	up(node)
	claim := claimOf(node, []*v1.NodePool{owner}, w.clock.Now())
	if err := w.client.Create(ctx, node); err != nil {
		return err
	}
	if err := w.client.Create(ctx, claim); err != nil {
		return err
	}
	w.cluster.UpdateNodeClaim(claim)
	return w.cluster.UpdateNode(ctx, node)
}

// remove moves a node's pods to where they go, and takes it away; daemons go with it.
func (w *world) remove(ctx context.Context, name string, claim *v1.NodeClaim, target map[types.UID]string) (int, error) {
	var bound corev1.PodList
	if err := w.client.List(ctx, &bound, fieldIs("spec.nodeName", name)); err != nil {
		return 0, err
	}
	moved := 0
	for index := range bound.Items {
		pod := &bound.Items[index]
		if err := w.client.Delete(ctx, pod); err != nil {
			return 0, err
		}
		w.cluster.DeletePod(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
		if isDaemon(pod) {
			continue
		}
		moved++
		next, ok := target[pod.UID]
		if !ok {
			return 0, fmt.Errorf("pod %s of node %s has nowhere to go", keyOf(pod), name)
		}
		again := pod.DeepCopy()
		again.ResourceVersion = ""
		again.Spec.NodeName = next
		if err := w.client.Create(ctx, again); err != nil {
			return 0, err
		}
		if err := w.cluster.UpdatePod(ctx, again); err != nil {
			return 0, err
		}
	}
	node := &corev1.Node{}
	if err := w.client.Get(ctx, types.NamespacedName{Name: name}, node); err != nil {
		return 0, err
	}
	if err := w.client.Delete(ctx, node); err != nil {
		return 0, err
	}
	if err := w.client.Delete(ctx, claim.DeepCopy()); err != nil {
		return 0, err
	}
	w.cluster.DeleteNode(name)
	w.cluster.DeleteNodeClaim(claim.Name)
	return moved, nil
}

// bill is what all nodes of pools cost in an hour, and how many there are.
func (w *world) bill(ctx context.Context) (float64, int) {
	var nodes corev1.NodeList
	if err := w.client.List(ctx, &nodes); err != nil {
		return 0, 0
	}
	total, count := 0.0, 0
	for _, node := range nodes.Items {
		if node.Labels[v1.NodePoolLabelKey] == "" {
			continue
		}
		count++
		for _, kind := range w.shop.types {
			if strings.EqualFold(kind.Name, node.Labels[corev1.LabelInstanceTypeStable]) {
				price, _ := kind.OfferingPrice(node.Labels[corev1.LabelTopologyZone], node.Labels[v1.CapacityTypeLabelKey])
				total += price
			}
		}
	}
	return total, count
}
