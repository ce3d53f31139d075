package main

import (
	"os"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
)

// workloadLabel says which workload a pod belongs to, where a rule of it looks at that.
const workloadLabel = "app.kubernetes.io/name"

// everyDomain is more than there can be: the emptiest host counts as empty then.
const everyDomain = int32(1 << 30)

// readPods reads the pods of a workload trace that are there at its time 0.
func (o *objects) readPods(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return bad("%w", err)
	}
	defer file.Close()
	rows, err := newTable(file)
	if err != nil {
		return bad("%s: %w", path, err)
	}
	for rows.next() {
		submit, end := rows.number("submit_s"), rows.text("end_s")
		if submit > 0 {
			continue
		}
		if end != "" && rows.number("end_s") <= 0 {
			continue
		}
		o.add("Pod", podOf(rows))
		if rows.problem != nil {
			break
		}
	}
	if rows.problem != nil {
		return bad("%s: %w", path, rows.problem)
	}
	return nil
}

func podOf(row *table) *corev1.Pod {
	namespace := row.text("namespace")
	if namespace == "" {
		namespace = "default"
	}
	requests := corev1.ResourceList{
		corev1.ResourceCPU:    milli(row.amount("cpu_milli", 0)),
		corev1.ResourceMemory: mebibytes(row.amount("memory_mib", 0)),
	}
	if size := row.amount("ephemeral_mib", 0); size > 0 {
		requests[corev1.ResourceEphemeralStorage] = mebibytes(size)
	}
	if cards := row.amount("gpu", 0); cards > 0 {
		requests["nvidia.com/gpu"] = units(cards)
	}
	row.extended(requests)
	pod := plainPod(namespace, row.text("name"), requests)
	priority := int32(row.amount("priority", 0))
	pod.Spec.Priority = &priority
	for pair := range strings.SplitSeq(row.text("node_selector"), ";") {
		if key, value, ok := strings.Cut(pair, "="); ok {
			selectNode(pod, strings.TrimSpace(key), strings.TrimSpace(value))
		}
	}
	if kind := row.text("capacity_type"); kind != "" {
		selectNode(pod, v1.CapacityTypeLabelKey, kind)
	}
	addRules(row, pod)
	return pod
}

func selectNode(pod *corev1.Pod, key, value string) {
	if pod.Spec.NodeSelector == nil {
		pod.Spec.NodeSelector = map[string]string{}
	}
	pod.Spec.NodeSelector[key] = value
}

func addRules(row *table, pod *corev1.Pod) {
	own := &metav1.LabelSelector{MatchLabels: map[string]string{workloadLabel: row.text("workload")}}
	spread := func(column, key string, minDomains *int32) {
		skew := row.amount(column, 0)
		if skew == 0 {
			return
		}
		pod.Labels = own.MatchLabels
		pod.Spec.TopologySpreadConstraints = append(pod.Spec.TopologySpreadConstraints, corev1.TopologySpreadConstraint{
			MaxSkew: int32(skew), TopologyKey: key, MinDomains: minDomains,
			WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: own,
		})
	}
	spread("zone_spread", corev1.LabelTopologyZone, nil)
	spread("host_spread", corev1.LabelHostname, nil)
	most := everyDomain
	spread("max_per_node", corev1.LabelHostname, &most)
	if alone, _ := strconv.ParseBool(row.text("host_anti_affinity")); alone {
		pod.Labels = own.MatchLabels
		pod.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
				{TopologyKey: corev1.LabelHostname, LabelSelector: own},
			},
		}}
	}
}

func plainPod(namespace, name string, requests map[corev1.ResourceName]resource.Quantity) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name)},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Resources: corev1.ResourceRequirements{Requests: requests},
		}}},
	}
}
