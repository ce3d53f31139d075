package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
)

// objects are what was read, in the order of the files.
type objects struct {
	pods       []*corev1.Pod
	nodes      []*corev1.Node
	pools      []*v1.NodePool
	others     []client.Object
	workloads  []workload
	priorities map[string]int32
	names      map[string]bool
}

// workload makes pods.
type workload struct {
	meta     metav1.ObjectMeta
	kind     string
	replicas int32
	template corev1.PodTemplateSpec
}

func newObjects() *objects {
	return &objects{priorities: map[string]int32{}, names: map[string]bool{}}
}

// readFile reads a manifest, or all those of a folder.
func (o *objects) readFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return bad("%w", err)
	}
	if info.IsDir() {
		var found []string
		err := filepath.WalkDir(path, func(path string, entry os.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			return bad("%w", err)
		}
		slices.Sort(found)
		for _, file := range found {
			if err := o.readFile(file); err != nil {
				return err
			}
		}
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return bad("%w", err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var document json.RawMessage
		if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return bad("%s: %w", path, err)
		}
		if text := bytes.TrimSpace(document); len(text) == 0 || bytes.Equal(text, []byte("null")) {
			continue
		}
		if err := o.take(document); err != nil {
			return bad("%s: %w", path, err)
		}
	}
}

// take takes in one object, or all of a list.
func (o *objects) take(document json.RawMessage) error {
	var head struct {
		metav1.TypeMeta
		Items []json.RawMessage
	}
	if err := json.Unmarshal(document, &head); err != nil {
		return err
	}
	if strings.HasSuffix(head.Kind, "List") {
		for _, item := range head.Items {
			if err := o.take(item); err != nil {
				return err
			}
		}
		return nil
	}
	object := objectOf(head.Kind)
	if object == nil {
		return nil
	}
	if err := json.Unmarshal(document, object); err != nil {
		return fmt.Errorf("%s: %w", head.Kind, err)
	}
	o.add(head.Kind, object)
	return nil
}

// objectOf is an empty object of a kind; nil for a kind that does not matter here.
func objectOf(kind string) client.Object {
	switch kind {
	case "Pod":
		return &corev1.Pod{}
	case "Node":
		return &corev1.Node{}
	case "NodePool":
		return &v1.NodePool{}
	case "NodeClaim":
		return &v1.NodeClaim{}
	case "Deployment":
		return &appsv1.Deployment{}
	case "StatefulSet":
		return &appsv1.StatefulSet{}
	case "ReplicaSet":
		return &appsv1.ReplicaSet{}
	case "Job":
		return &batchv1.Job{}
	case "DaemonSet":
		return &appsv1.DaemonSet{}
	case "Namespace":
		return &corev1.Namespace{}
	case "PersistentVolume":
		return &corev1.PersistentVolume{}
	case "PersistentVolumeClaim":
		return &corev1.PersistentVolumeClaim{}
	case "StorageClass":
		return &storagev1.StorageClass{}
	case "CSINode":
		return &storagev1.CSINode{}
	case "PodDisruptionBudget":
		return &policyv1.PodDisruptionBudget{}
	case "PriorityClass":
		return &schedulingv1.PriorityClass{}
	}
	return nil
}

func (o *objects) add(kind string, object client.Object) {
	identify(kind, object)
	switch object := object.(type) {
	case *corev1.Pod:
		o.pods = append(o.pods, object)
		o.names[keyOf(object)] = true
	case *corev1.Node:
		o.nodes = append(o.nodes, object)
	case *v1.NodePool:
		o.pools = append(o.pools, object)
	case *appsv1.Deployment:
		o.workloads = append(o.workloads, workload{object.ObjectMeta, kind, count(object.Spec.Replicas), object.Spec.Template})
	case *appsv1.StatefulSet:
		o.workloads = append(o.workloads, workload{object.ObjectMeta, kind, count(object.Spec.Replicas), object.Spec.Template})
	case *appsv1.ReplicaSet:
		o.workloads = append(o.workloads, workload{object.ObjectMeta, kind, count(object.Spec.Replicas), object.Spec.Template})
	case *batchv1.Job:
		o.workloads = append(o.workloads, workload{object.ObjectMeta, kind, count(object.Spec.Parallelism), object.Spec.Template})
	case *schedulingv1.PriorityClass:
		o.priorities[object.Name] = object.Value
	default:
		o.others = append(o.others, object)
	}
}

func count(replicas *int32) int32 {
	if replicas == nil {
		return 1
	}
	return *replicas
}

func keyOf(object client.Object) string {
	return object.GetNamespace() + "/" + object.GetName()
}

// identify fills in what only a cluster would: a namespace and a UID.
func identify(kind string, object client.Object) {
	namespaced := !slices.Contains([]string{
		"Node", "NodePool", "NodeClaim", "Namespace", "PersistentVolume", "StorageClass", "CSINode", "PriorityClass",
	}, kind)
	if namespaced && object.GetNamespace() == "" {
		object.SetNamespace("default")
	}
	if object.GetUID() == "" {
		object.SetUID(types.UID(kind + "/" + keyOf(object)))
	}
	// The client in memory gives versions of its own.
	object.SetResourceVersion("")
}

// expand makes the pods that workloads are short of, as Berth names them.
func (o *objects) expand() {
	slices.SortStableFunc(o.workloads, func(left, right workload) int {
		rank := func(one workload) int {
			return slices.Index([]string{"StatefulSet", "Deployment", "ReplicaSet", "Job"}, one.kind)
		}
		if rank(left) != rank(right) {
			return rank(left) - rank(right)
		}
		return strings.Compare(left.meta.Namespace+"/"+left.meta.Name, right.meta.Namespace+"/"+right.meta.Name)
	})
	controlled := map[types.UID]int32{}
	for _, pod := range o.pods {
		if owner := metav1.GetControllerOf(pod); owner != nil {
			controlled[owner.UID]++
		}
	}
	for _, one := range o.workloads {
		missing := one.replicas - controlled[one.meta.UID]
		for number := 0; missing > 0; number++ {
			pod := &corev1.Pod{ObjectMeta: *one.template.ObjectMeta.DeepCopy(), Spec: *one.template.Spec.DeepCopy()}
			pod.Namespace = one.meta.Namespace
			pod.Name = fmt.Sprintf("%s-%d", one.meta.Name, number)
			if o.names[keyOf(pod)] {
				continue
			}
			pod.UID = types.UID("Pod/" + keyOf(pod))
			controller := true
			pod.OwnerReferences = []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: one.meta.Name, UID: one.meta.UID, Controller: &controller,
			}}
			o.pods = append(o.pods, pod)
			o.names[keyOf(pod)] = true
			missing--
		}
	}
}
