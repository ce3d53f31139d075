package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/scheduling"
)

// gpuProduct is the label that carries the table's gpu_name.
const gpuProduct = "nvidia.com/gpu.product"

func init() {
	// A cloud provider registers the labels that its types carry.
	v1.WellKnownLabels = v1.WellKnownLabels.Insert(gpuProduct)
}

// machine is an instance type before Karpenter's form of it is made.
type machine struct {
	name      string
	arch      string
	systems   []string
	gpu       string
	capacity  corev1.ResourceList
	overhead  corev1.ResourceList
	offerings []offering
}

type offering struct {
	zone, capacityType string
	price              float64
	available          bool
}

// readCatalog reads either format that Berth reads.
func readCatalog(path string) ([]*cloudprovider.InstanceType, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, bad("%w", err)
	}
	defer file.Close()
	reader := bufio.NewReader(file)
	first, err := reader.Peek(1)
	if err != nil {
		return nil, bad("%s: is empty: expected a catalog", path)
	}
	var machines []*machine
	if first[0] == '[' {
		machines, err = readTypes(reader)
	} else {
		machines, err = readTable(reader)
	}
	if err != nil {
		return nil, bad("%s: %w", path, err)
	}
	types := make([]*cloudprovider.InstanceType, 0, len(machines))
	for _, one := range machines {
		types = append(types, one.instanceType())
	}
	return types, nil
}

func (m *machine) instanceType() *cloudprovider.InstanceType {
	in := func(key string, values ...string) *scheduling.Requirement {
		return scheduling.NewRequirement(key, corev1.NodeSelectorOpIn, values...)
	}
	var zones, capacityTypes []string
	var offerings cloudprovider.Offerings
	for _, one := range m.offerings {
		zones = append(zones, one.zone)
		capacityTypes = append(capacityTypes, one.capacityType)
		offerings = append(offerings, &cloudprovider.Offering{
			Requirements: scheduling.NewRequirements(
				in(corev1.LabelTopologyZone, one.zone),
				in(v1.CapacityTypeLabelKey, one.capacityType),
			),
			Price:     one.price,
			Available: one.available,
		})
	}
	gpu := scheduling.NewRequirement(gpuProduct, corev1.NodeSelectorOpDoesNotExist)
	if m.gpu != "" {
		gpu = in(gpuProduct, m.gpu)
	}
	return &cloudprovider.InstanceType{
		Name: m.name,
		Requirements: scheduling.NewRequirements(
			in(corev1.LabelInstanceTypeStable, m.name),
			in(corev1.LabelArchStable, m.arch),
			in(corev1.LabelOSStable, m.systems...),
			in(corev1.LabelTopologyZone, zones...),
			in(v1.CapacityTypeLabelKey, capacityTypes...),
			gpu,
		),
		Offerings: offerings,
		Capacity:  m.capacity,
		Overhead:  &cloudprovider.InstanceTypeOverhead{KubeReserved: m.overhead},
	}
}

func milli(amount int64) resource.Quantity {
	return *resource.NewMilliQuantity(amount, resource.DecimalSI)
}

func units(amount int64) resource.Quantity {
	return *resource.NewQuantity(amount, resource.DecimalSI)
}

func mebibytes(amount int64) resource.Quantity {
	return *resource.NewQuantity(amount<<20, resource.BinarySI)
}

// table is a CSV file with a header.
type table struct {
	reader  *csv.Reader
	columns map[string]int
	row     []string
	problem error
}

func newTable(source io.Reader) (*table, error) {
	reader := csv.NewReader(source)
	reader.TrimLeadingSpace = true
	header, err := reader.Read()
	if err != nil {
		return nil, err
	}
	columns := map[string]int{}
	for index, name := range header {
		columns[strings.TrimSpace(name)] = index
	}
	return &table{reader: reader, columns: columns}, nil
}

// next reads a row; false at the end.
func (t *table) next() bool {
	row, err := t.reader.Read()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			t.problem = err
		}
		return false
	}
	t.row = row
	return true
}

func (t *table) text(column string) string {
	index, ok := t.columns[column]
	if !ok || index >= len(t.row) {
		return ""
	}
	return strings.TrimSpace(t.row[index])
}

func (t *table) fail(column, expected string) {
	if t.problem == nil {
		line, _ := t.reader.FieldPos(0)
		t.problem = bad("line %d, column %s: %q is wrong: expected %s", line, column, t.text(column), expected)
	}
}

func (t *table) amount(column string, otherwise int64) int64 {
	text := t.text(column)
	if text == "" {
		return otherwise
	}
	amount, err := strconv.ParseInt(text, 10, 64)
	if err != nil || amount < 0 {
		t.fail(column, "a whole number")
	}
	return amount
}

func (t *table) number(column string) float64 {
	number, err := strconv.ParseFloat(t.text(column), 64)
	if err != nil {
		t.fail(column, "a number")
	}
	return number
}

// extended gives each resource/NAME of a row.
func (t *table) extended(into corev1.ResourceList) {
	for column := range t.columns {
		if name, ok := strings.CutPrefix(column, "resource/"); ok {
			if amount := t.amount(column, 0); amount != 0 {
				into[corev1.ResourceName(name)] = units(amount)
			}
		}
	}
}

func readTable(source io.Reader) ([]*machine, error) {
	table, err := newTable(source)
	if err != nil {
		return nil, err
	}
	var machines []*machine
	known := map[string]*machine{}
	for table.next() {
		name := table.text("instance_type")
		one, ok := known[name]
		if !ok {
			one = machineOf(table)
			known[name] = one
			machines = append(machines, one)
		}
		one.offerings = append(one.offerings, offering{
			zone:         table.text("zone"),
			capacityType: table.text("capacity_type"),
			price:        table.number("price_per_hour"),
			available:    true,
		})
		if table.problem != nil {
			break
		}
	}
	return machines, table.problem
}

func machineOf(table *table) *machine {
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:              milli(table.amount("cpu_milli", 0)),
		corev1.ResourceMemory:           mebibytes(table.amount("memory_mib", 0)),
		corev1.ResourcePods:             units(table.amount("pods", 110)),
		corev1.ResourceEphemeralStorage: mebibytes(table.amount("ephemeral_mib", 0)),
	}
	product := table.text("gpu_name")
	if cards := table.amount("gpu", 0); cards > 0 {
		name := corev1.ResourceName("nvidia.com/gpu")
		if strings.HasPrefix(product, "radeon") {
			name = "amd.com/gpu"
		}
		capacity[name] = units(cards)
	}
	table.extended(capacity)
	return &machine{
		name:     table.text("instance_type"),
		arch:     table.text("arch"),
		systems:  []string{"linux"},
		gpu:      product,
		capacity: capacity,
		overhead: corev1.ResourceList{
			corev1.ResourceCPU:    milli(table.amount("overhead_cpu_milli", 0)),
			corev1.ResourceMemory: mebibytes(table.amount("overhead_memory_mib", 0)),
		},
	}
}

// writtenType is an instance type in the file that Karpenter's kwok provider reads.
type writtenType struct {
	Name             string
	Architecture     string
	OperatingSystems []string
	Resources        corev1.ResourceList
	Offerings        []struct {
		Price        float64
		Available    bool
		Requirements []corev1.NodeSelectorRequirement
	}
}

func readTypes(source io.Reader) ([]*machine, error) {
	var written []writtenType
	if err := json.NewDecoder(source).Decode(&written); err != nil {
		return nil, err
	}
	machines := make([]*machine, 0, len(written))
	for _, kind := range written {
		one := &machine{
			name:     kind.Name,
			arch:     kind.Architecture,
			systems:  kind.OperatingSystems,
			capacity: kind.Resources,
			// What its kwok provider keeps back of every machine.
			overhead: corev1.ResourceList{
				corev1.ResourceCPU:    milli(100),
				corev1.ResourceMemory: mebibytes(10),
			},
		}
		for _, sold := range kind.Offerings {
			var zones, capacityTypes []string
			for _, requirement := range sold.Requirements {
				switch requirement.Key {
				case corev1.LabelTopologyZone:
					zones = requirement.Values
				case v1.CapacityTypeLabelKey:
					capacityTypes = requirement.Values
				}
			}
			for _, capacityType := range capacityTypes {
				for _, zone := range zones {
					one.offerings = append(one.offerings, offering{zone, capacityType, sold.Price, sold.Available})
				}
			}
		}
		machines = append(machines, one)
	}
	return machines, nil
}
