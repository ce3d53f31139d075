// Command karpenter runs Karpenter's own scheduler on what `berth plan` reads and prints its plan
// as `berth plan --output json` does.
//
// Karpenter is a library here: its provisioner and its disruption methods decide, on a client that
// keeps objects in memory and a cloud that sells what a catalog says. Only what carries decisions
// out is ours: a node of each claim, of the cheapest offering that is left, as Karpenter's kwok
// provider chooses it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// files is a flag that may be given many times, or once with commas.
type files []string

func (f *files) String() string { return strings.Join(*f, ",") }

func (f *files) Set(text string) error {
	*f = append(*f, strings.Split(text, ",")...)
	return nil
}

// arguments are the command line.
type arguments struct {
	catalog     string
	manifests   files
	pods        string
	workers     int
	runs        int
	timeout     time.Duration
	consolidate bool
	rounds      int
}

func parse() arguments {
	var given arguments
	flag.StringVar(&given.catalog, "catalog", "", "what the cloud sells: CSV, or the JSON of Karpenter's kwok provider")
	flag.Var(&given.manifests, "manifests", "Kubernetes manifests, YAML or JSON; may be given many times")
	flag.StringVar(&given.pods, "pods", "", "pods as a workload trace in CSV: those that are there at its time 0")
	flag.IntVar(&given.workers, "workers", 1, "how many candidates are looked at at a time (Karpenter: its CPU request, 1 by default)")
	flag.IntVar(&given.runs, "runs", 1, "how often to plan; the time is the median")
	flag.DurationVar(&given.timeout, "timeout", 0, "give up placing pods after this (Karpenter: 1m); 0: never")
	flag.BoolVar(&given.consolidate, "consolidate", false, "consolidate the nodes that are there instead of placing pods")
	flag.IntVar(&given.rounds, "rounds", 0, "with -consolidate: stop after so many commands; 0: when there is nothing left to do")
	flag.Parse()
	return given
}

func run(given arguments) error {
	if given.catalog == "" || (len(given.manifests) == 0 && given.pods == "") {
		return bad("expected -catalog and -manifests or -pods")
	}
	types, err := readCatalog(given.catalog)
	if err != nil {
		return err
	}
	objects := newObjects()
	for _, file := range given.manifests {
		if err := objects.readFile(file); err != nil {
			return err
		}
	}
	if given.pods != "" {
		if err := objects.readPods(given.pods); err != nil {
			return err
		}
	}
	ctx := settings(context.Background(), given.workers)
	world, err := newWorld(ctx, objects, types)
	if err != nil {
		return err
	}
	var document any
	if given.consolidate {
		document, err = world.consolidate(ctx, given.rounds)
	} else {
		document, err = world.plan(ctx, given)
	}
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

// version is Karpenter's, as the module was built with it.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if ok {
		for _, module := range build.Deps {
			if module.Path == "sigs.k8s.io/karpenter" {
				return module.Version
			}
		}
	}
	return "unknown"
}

func main() {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	if err := run(parse()); err != nil {
		fmt.Fprintln(os.Stderr, "karpenter:", err)
		if isBad(err) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}
