package main

import (
	"fmt"
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

type named struct {
	name string
	pod  *v1.Pod
}

// milliScale is what the API server rounds all amounts up to before it stores them
// (SetDefaults_ResourceList).
const milliScale = resource.Scale(-3)

// amounts is a resource list, written short.
type amounts map[string]string

func (amounts amounts) list() v1.ResourceList {
	if amounts == nil {
		return nil
	}
	list := v1.ResourceList{}
	for name, quantity := range amounts {
		parsed := resource.MustParse(quantity)
		parsed.RoundUp(milliScale)
		list[v1.ResourceName(name)] = parsed
	}
	return list
}

func (amounts amounts) String() string {
	if amounts == nil {
		return "unknown"
	}
	var parts []string
	for name, quantity := range amounts {
		parts = append(parts, name+"="+quantity)
	}
	sort.Strings(parts)
	return "{" + strings.Join(parts, " ") + "}"
}

func container(name string, requests amounts) v1.Container {
	return v1.Container{
		Name:      name,
		Resources: v1.ResourceRequirements{Requests: requests.list()},
	}
}

func sidecar(name string, requests amounts) v1.Container {
	made := container(name, requests)
	always := v1.ContainerRestartPolicyAlways
	made.RestartPolicy = &always
	return made
}

func small() amounts { return amounts{"cpu": "100m", "memory": "64Mi"} }
func large() amounts { return amounts{"cpu": "2", "memory": "1Gi"} }
func disk() amounts  { return amounts{"ephemeral-storage": "3Gi", "cpu": "10m"} }

func pod(name string, containers, init []v1.Container) named {
	return named{name, &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "default"},
		Spec:       v1.PodSpec{Containers: containers, InitContainers: init},
	}}
}

// everything is all pods, each under a name of its own.
func everything() []named {
	var all []named
	all = append(all, shapes()...)
	all = append(all, sorts()...)
	all = append(all, fractions()...)
	all = append(all, resizes()...)
	all = append(all, sidecarResizes()...)
	all = append(all, podResizes()...)
	return all
}

// inits is every order of init containers and sidecars that counts differently.
func inits() map[string][]v1.Container {
	return map[string][]v1.Container{
		"none":                       nil,
		"small init":                 {container("i", small())},
		"large init":                 {container("i", large())},
		"two inits":                  {container("i", large()), container("j", disk())},
		"sidecar":                    {sidecar("s", small())},
		"sidecar before large init":  {sidecar("s", small()), container("i", large())},
		"sidecar after large init":   {container("i", large()), sidecar("s", small())},
		"sidecars around large init": {sidecar("s", small()), container("i", large()), sidecar("t", disk())},
		"sidecar larger than inits":  {container("i", small()), sidecar("s", large())},
		"inits between sidecars": {
			sidecar("s", small()), container("i", disk()), sidecar("t", large()), container("j", small()),
		},
	}
}

// shapes combines inits with overhead and pod-level requests.
func shapes() []named {
	levels := map[string]amounts{
		"none":      nil,
		"cpu":       {"cpu": "3"},
		"less":      {"cpu": "5m", "memory": "1Mi"},
		"huge":      {"hugepages-2Mi": "4Mi"},
		"cpu, huge": {"cpu": "1500m", "hugepages-1Gi": "1Gi"},
	}
	overheads := map[string]amounts{
		"none":    nil,
		"some":    {"cpu": "250m", "memory": "120Mi"},
		"strange": {"example.com/thing": "1", "ephemeral-storage": "7Mi"},
	}
	var all []named
	for initName, init := range inits() {
		for levelName, level := range levels {
			for overheadName, overhead := range overheads {
				name := fmt.Sprintf("init %s, pod-level %s, overhead %s", initName, levelName, overheadName)
				made := pod(name, []v1.Container{container("a", small()), container("b", disk())}, init)
				if level != nil {
					made.pod.Spec.Resources = &v1.ResourceRequirements{Requests: level.list()}
				}
				made.pod.Spec.Overhead = overhead.list()
				all = append(all, made)
			}
		}
	}
	return all
}

// sorts has every sort of resource in every sort of container.
func sorts() []named {
	kinds := []amounts{
		{}, {"cpu": "0"}, {"cpu": "1500m"}, {"memory": "128974848"}, {"memory": "129M"},
		{"ephemeral-storage": "2Gi"}, {"hugepages-2Mi": "6Mi"}, {"hugepages-1Gi": "2Gi"},
		{"nvidia.com/gpu": "2"}, {"nvidia.com/gpu": "0"}, {"attachable-volumes-csi": "3"},
		{"example.com/a": "1", "example.com/b": "2"}, {"storage": "1Gi"},
		{"kubernetes.io/batch-cpu": "1k"},
	}
	var all []named
	for _, kind := range kinds {
		a := []v1.Container{container("a", small())}
		all = append(all,
			pod(fmt.Sprintf("container with %s", kind), []v1.Container{container("a", kind)}, nil),
			pod(fmt.Sprintf("two containers with %s", kind),
				[]v1.Container{container("a", kind), container("b", kind)}, nil),
			pod(fmt.Sprintf("init container with %s", kind), a, []v1.Container{container("i", kind)}),
			pod(fmt.Sprintf("sidecar with %s", kind), a, []v1.Container{sidecar("s", kind)}),
		)
	}
	return all
}

// fractions of thousandths are added after they were rounded to thousandths, before they are
// rounded to units.
func fractions() []named {
	var all []named
	for _, one := range []string{
		"1n", "999u", "1001u", "0.5m", "0.0001", "100.1m", "1.5", "0.1Ki", "1e-3", "12e2", "1.0005",
	} {
		for _, other := range []string{"1n", "0.5", "999999n", "1Ki"} {
			requests := func(quantity string) amounts {
				return amounts{"cpu": quantity, "memory": quantity, "example.com/thing": quantity}
			}
			all = append(all, pod(fmt.Sprintf("%s and %s", one, other),
				[]v1.Container{container("a", requests(one)), container("b", requests(other))}, nil))
		}
	}
	return all
}

func condition(reason string) []v1.PodCondition {
	if reason == "" {
		return nil
	}
	return []v1.PodCondition{
		{Type: v1.PodReady, Status: v1.ConditionTrue, Reason: v1.PodReasonInfeasible},
		{Type: v1.PodResizePending, Status: v1.ConditionTrue, Reason: reason},
	}
}

// reasons is what kubelet says of a resize that is asked for.
var reasons = []string{"", v1.PodReasonDeferred, v1.PodReasonInfeasible}

// states are amounts of a container as kubelet may report them.
var states = []amounts{
	nil, {}, {"cpu": "1", "memory": "10Mi"}, {"cpu": "500m", "memory": "30Mi"}, {"cpu": "4"},
}

func reported(name string, allocated, actuated amounts) v1.ContainerStatus {
	status := v1.ContainerStatus{Name: name, AllocatedResources: allocated.list()}
	if actuated != nil {
		status.Resources = &v1.ResourceRequirements{Requests: actuated.list()}
	}
	return status
}

// resizes has every state of a container's resize.
func resizes() []named {
	var all []named
	for _, allocated := range states {
		for _, actuated := range states {
			for _, reason := range reasons {
				name := fmt.Sprintf("allocated %s, in force %s, %q", allocated, actuated, reason)
				spec := amounts{"cpu": "1", "memory": "20Mi"}
				made := pod(name, []v1.Container{container("a", spec), container("b", small())}, nil)
				made.pod.Status.Conditions = condition(reason)
				made.pod.Status.ContainerStatuses = []v1.ContainerStatus{reported("a", allocated, actuated)}
				all = append(all, made)
			}
		}
	}
	return all
}

// sidecarResizes has sidecars and init containers that are resized.
func sidecarResizes() []named {
	var all []named
	for _, state := range states {
		for _, reason := range reasons {
			name := fmt.Sprintf("sidecar and init container reported %s, %q", state, reason)
			made := pod(name, []v1.Container{container("a", small())},
				[]v1.Container{sidecar("s", small()), container("i", large()), sidecar("t", small())})
			made.pod.Status.Conditions = condition(reason)
			made.pod.Status.InitContainerStatuses = []v1.ContainerStatus{
				reported("s", state, state), reported("i", nil, state), reported("t", state, nil),
			}
			all = append(all, made)
		}
	}
	return all
}

// podResizes has every state of a whole pod's resize.
func podResizes() []named {
	var all []named
	for _, level := range []amounts{nil, {"cpu": "1"}, {"cpu": "3", "memory": "15Mi"}} {
		for _, allocated := range states {
			for _, actuated := range states {
				for _, reason := range reasons {
					name := fmt.Sprintf("pod-level %s, allocated %s, in force %s, %q",
						level, allocated, actuated, reason)
					made := pod(name, []v1.Container{container("a", small())}, nil)
					if level != nil {
						made.pod.Spec.Resources = &v1.ResourceRequirements{Requests: level.list()}
					}
					made.pod.Spec.Overhead = amounts{"cpu": "1m"}.list()
					made.pod.Status.Conditions = condition(reason)
					made.pod.Status.AllocatedResources = allocated.list()
					if actuated != nil {
						made.pod.Status.Resources = &v1.ResourceRequirements{Requests: actuated.list()}
					}
					made.pod.Status.ContainerStatuses = []v1.ContainerStatus{
						reported("a", amounts{"cpu": "7"}, nil),
					}
					all = append(all, made)
				}
			}
		}
	}
	return all
}
