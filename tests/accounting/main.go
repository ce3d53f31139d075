// Command accounting makes pods of every kind that matters for accounting, has Kubernetes' own
// helper say what each of them takes from a node, and prints both as JSON.
//
// The options are those that kube-scheduler 1.37 uses with its default feature gates.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	v1 "k8s.io/api/core/v1"
	helper "k8s.io/component-helpers/resource"
)

// vector is one pod and what it takes, by resource.
type vector struct {
	Name     string            `json:"name"`
	Pod      *v1.Pod           `json:"pod"`
	Requests map[string]amount `json:"requests"`
}

// amount is a quantity as kube-scheduler reads it: thousandths for cpu, whole units otherwise.
type amount struct {
	Milli int64 `json:"milli"`
	Units int64 `json:"units"`
}

func requestsOf(pod *v1.Pod) map[string]amount {
	requests := helper.PodRequests(pod, helper.PodResourcesOptions{
		UseStatusResources: true,
		InPlacePodLevelResourcesVerticalScalingEnabled: true,
	})
	amounts := make(map[string]amount, len(requests))
	for name, quantity := range requests {
		amounts[string(name)] = amount{Milli: quantity.MilliValue(), Units: quantity.Value()}
	}
	return amounts
}

// asRead is the pod as it is after it has been written and read: empty lists are none then.
func asRead(pod *v1.Pod) (*v1.Pod, error) {
	text, err := json.Marshal(pod)
	if err != nil {
		return nil, err
	}
	read := &v1.Pod{}
	return read, json.Unmarshal(text, read)
}

func run() error {
	var vectors []vector
	for _, made := range everything() {
		pod, err := asRead(made.pod)
		if err != nil {
			return fmt.Errorf("%s: %w", made.name, err)
		}
		vectors = append(vectors, vector{made.name, pod, requestsOf(pod)})
	}
	return json.NewEncoder(os.Stdout).Encode(vectors)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
