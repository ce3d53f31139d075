package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/controllers/provisioning/scheduling"
	karpscheduling "sigs.k8s.io/karpenter/pkg/scheduling"
)

// document is what `berth plan --output json` writes, and some more.
type document struct {
	Nodes         []launch        `json:"nodes"`
	Existing      []existing      `json:"existing"`
	Unschedulable []unschedulable `json:"unschedulable"`
	PricePerHour  float64         `json:"pricePerHour"`
	LowerBound    float64         `json:"lowerBoundPerHour"`
	Gap           *float64        `json:"gap"`
	ElapsedMs     float64         `json:"elapsedMs"`
	Method        string          `json:"method"`
	Seed          uint64          `json:"seed"`
	// SolveMs is the time without that for looking at the cluster, as Karpenter's benchmark counts.
	SolveMs    float64 `json:"solveMs"`
	PeakRssMib float64 `json:"peakRssMib"`
}

type launch struct {
	Name         string   `json:"name"`
	NodePool     string   `json:"nodePool"`
	InstanceType string   `json:"instanceType"`
	Zone         string   `json:"zone"`
	CapacityType string   `json:"capacityType"`
	PricePerHour float64  `json:"pricePerHour"`
	Pods         []string `json:"pods"`
}

type existing struct {
	Name string   `json:"name"`
	Pods []string `json:"pods"`
}

type unschedulable struct {
	Pod    string `json:"pod"`
	Reason string `json:"reason"`
}

// plan places the pending pods.
func (w *world) plan(ctx context.Context, given arguments) (*document, error) {
	made := &document{Nodes: []launch{}, Existing: []existing{}, Unschedulable: []unschedulable{}}
	made.Method = "karpenter " + version()
	pods := w.valid(ctx, made)
	var results scheduling.Results
	var whole, solving []float64
	for range max(given.runs, 1) {
		began := time.Now()
		scheduler, err := w.provisioner.NewScheduler(ctx, pods, w.cluster.DeepCopyNodes().Active(), sets.New[types.UID](),
			scheduling.DisableReservedCapacityFallback,
			scheduling.NumConcurrentReconciles(given.workers),
			scheduling.MinValuesPolicy("Strict"),
		)
		if err != nil {
			return nil, fmt.Errorf("making the scheduler: %w", err)
		}
		solved := time.Now()
		within, cancel := ctx, context.CancelFunc(func() {})
		if given.timeout > 0 {
			within, cancel = context.WithTimeout(ctx, given.timeout)
		}
		results, err = scheduler.Solve(within, pods)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("solving: %w", err)
		}
		solving = append(solving, time.Since(solved).Seconds()*1e3)
		results = results.TruncateInstanceTypes(ctx, scheduling.MaxInstanceTypes)
		whole = append(whole, time.Since(began).Seconds()*1e3)
	}
	made.ElapsedMs, made.SolveMs = median(whole), median(solving)
	if err := made.read(results, pods); err != nil {
		return nil, err
	}
	made.PeakRssMib = peakRss()
	return made, nil
}

// valid are the pending pods that Karpenter plans for; the others are left out with its reason.
func (w *world) valid(ctx context.Context, made *document) []*corev1.Pod {
	var pods []*corev1.Pod
	for _, pod := range w.pending {
		switch err := w.provisioner.Validate(ctx, pod); {
		case isDaemon(pod):
		case len(pod.Spec.SchedulingGates) > 0:
			made.leaveOut(pod, errors.New("its schedulingGates hold it back"))
		case err != nil:
			made.leaveOut(pod, err)
		default:
			pods = append(pods, pod)
		}
	}
	return pods
}

func (d *document) leaveOut(pod *corev1.Pod, why error) {
	d.Unschedulable = append(d.Unschedulable, unschedulable{keyOf(pod), why.Error()})
}

// read writes down what the scheduler decided.
func (d *document) read(results scheduling.Results, pods []*corev1.Pod) error {
	placed := map[types.UID]bool{}
	for index, claim := range results.NewNodeClaims {
		kind, sold, err := cheapest(claim.InstanceTypeOptions, claim.Requirements)
		if err != nil {
			return err
		}
		d.Nodes = append(d.Nodes, launch{
			Name:         fmt.Sprintf("%s-%05d", claim.NodePoolName, index),
			NodePool:     claim.NodePoolName,
			InstanceType: kind.Name,
			Zone:         sold.Zone(),
			CapacityType: sold.CapacityType(),
			PricePerHour: sold.Price,
			Pods:         names(claim.Pods, placed),
		})
		d.PricePerHour += sold.Price
	}
	for _, node := range results.ExistingNodes {
		d.Existing = append(d.Existing, existing{node.Name(), names(node.Pods, placed)})
	}
	for _, pod := range pods {
		if placed[pod.UID] {
			continue
		}
		why := errors.New("it was not looked at in time")
		for failed, err := range results.PodErrors {
			if failed.UID == pod.UID {
				why = err
				break
			}
		}
		d.leaveOut(pod, why)
	}
	slices.SortFunc(d.Existing, func(left, right existing) int { return strings.Compare(left.Name, right.Name) })
	slices.SortFunc(d.Unschedulable, func(left, right unschedulable) int { return strings.Compare(left.Pod, right.Pod) })
	return nil
}

func names(pods []*corev1.Pod, placed map[types.UID]bool) []string {
	list := make([]string, 0, len(pods))
	for _, pod := range pods {
		placed[pod.UID] = true
		list = append(list, keyOf(pod))
	}
	slices.Sort(list)
	return list
}

// cheapest is what Karpenter's kwok provider launches: of what is left of a claim the cheapest
// available offering. It draws among equal ones; here the first by zone is taken.
func cheapest(types cloudprovider.InstanceTypes, requirements karpscheduling.Requirements) (*cloudprovider.InstanceType, *cloudprovider.Offering, error) {
	least := math.Inf(1)
	var kind *cloudprovider.InstanceType
	var sold *cloudprovider.Offering
	for _, one := range types {
		for _, offering := range one.Offerings.Available().Compatible(requirements) {
			first := sold == nil || offering.Price < least
			if !first && offering.Price == least {
				left, right := one.Name+" "+offering.Zone(), kind.Name+" "+sold.Zone()
				first = left < right
			}
			if first {
				least, kind, sold = offering.Price, one, offering
			}
		}
	}
	if sold == nil {
		return nil, nil, fmt.Errorf("nothing is left that could be launched for %s", requirements.Get(v1.NodePoolLabelKey))
	}
	return kind, sold, nil
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// peakRss is the most memory that this process ever had, in MiB; 0 where that is not known.
func peakRss() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kibibytes, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				return 0
			}
			return kibibytes / 1024
		}
	}
	return 0
}
