package scenario

import (
	"errors"
	"reflect"
	"slices"
	"strconv"

	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
	"go.yaml.in/yaml/v4"
)

// Spec is a scenario as it was written, or a plan's: pure data.
type Spec struct {
	Name        string     `yaml:"name" doc:"what reports call it; unique among the scenarios run together" required:"true"`
	Seed        *seed.Seed `yaml:"seed" doc:"in a printed plan: the seed from which the items of the run are drawn"`
	Required    Required   `yaml:"required" doc:"the targets"`
	Optional    bool       `yaml:"optional" doc:"skipped, and told so, on a machine that lacks what the targets need; otherwise that is an error"`
	Objects     *Objects   `yaml:"objects" doc:"what tests on buckets put"`
	Files       *Files     `yaml:"files" doc:"what tests on volumes write"`
	Concurrency int        `yaml:"concurrency" doc:"how many tasks run at once; default 16" min:"1" max:"4096"`
	Tests       []TestUse  `yaml:"tests" doc:"what drives the targets, in this order" required:"true"`
	Faults      []FaultUse `yaml:"faults" doc:"what is done to the targets meanwhile"`
	Checks      []CheckUse `yaml:"checks" doc:"what judges the targets afterwards" required:"true"`
	Expect      *Expect    `yaml:"expect" doc:"turns the verdict round, for a scenario that must find something"`
	Repeat      Count      `yaml:"repeat" doc:"how many plans are made of it; default 1" min:"1" max:"1000000"`
	Timeout     Duration   `yaml:"timeout" doc:"after which a run is inconclusive; default: none" min:"1"`
}

// DefaultConcurrency is how many tasks of a scenario run at once unless it says otherwise.
const DefaultConcurrency = 16

// Validate holds what one field alone cannot show.
func (s *Spec) Validate() error {
	switch {
	case s.Name == "":
		return errors.New("a scenario wants a name that is not empty")
	case len(s.Tests) == 0:
		return errors.New("a scenario wants at least one test")
	case len(s.Checks) == 0:
		return errors.New("a scenario wants at least one check: without one it proves nothing")
	case len(s.Required.Buckets)+len(s.Required.Volumes) == 0:
		return errors.New("a scenario wants at least one bucket or volume under required")
	}
	return s.Required.uniqueNames()
}

// Required are the targets of a scenario.
type Required struct {
	Buckets Buckets `yaml:"buckets" doc:"how many, or a list that describes each"`
	Volumes Volumes `yaml:"volumes" doc:"how many, or a list that describes each"`
}

func (r Required) uniqueNames() error {
	seen := map[string]bool{}
	for _, name := range r.names() {
		if seen[name] {
			return errors.New("two targets are named " + strconv.Quote(name))
		}
		seen[name] = true
	}
	return nil
}

// count is how many targets there are of each kind.
func (r Required) count() map[string]int {
	return map[string]int{BucketKind: len(r.Buckets), VolumeKind: len(r.Volumes)}
}

// names are the targets' names, buckets first, as faults, tests and checks
// say them under on.
func (r Required) names() []string {
	var all []string
	for _, b := range r.Buckets {
		all = append(all, b.Name)
	}
	for _, v := range r.Volumes {
		all = append(all, v.Name)
	}
	return all
}

// Bucket describes a bucket that a scenario requires.
type Bucket struct {
	Name        string      `yaml:"name" doc:"by which tests, faults and checks say on; default bucket-1, bucket-2, …"`
	Clouds      Clouds      `yaml:"clouds" doc:"backend types of which the bucket's is chosen; default: any that there is"`
	Replication Replication `yaml:"replication" doc:"true, or the backend types of which the destination's is chosen; implies versioning"`
	Versioning  bool        `yaml:"versioning" doc:"whether the bucket keeps old versions"`
	Transient   bool        `yaml:"transient" doc:"the bucket is on the tested cluster's own storage, and clouds is ignored"`
	Expiration  Duration    `yaml:"expiration" doc:"after which objects expire; default: never"`
}

// Volume describes a volume that a scenario requires.
type Volume struct {
	Name       string    `yaml:"name" doc:"by which tests, faults and checks say on; default volume-1, volume-2, …"`
	Device     string    `yaml:"device" doc:"soft, dm, a block device's path, or none (then path)"`
	Filesystem string    `yaml:"filesystem" doc:"what is made on the device" enum:"ext4,xfs,btrfs"`
	Size       Size      `yaml:"size" doc:"of the device; default 1G" min:"1"`
	Mount      string    `yaml:"mount" doc:"mount options"`
	Sector     Size      `yaml:"sector" doc:"logical block of a breakable disk, the most that a power cut cannot tear: 512 or 4096; default 4096, as disks of today have it. ext4 checks its superblock, of two sectors of 512 bytes, before it replays its journal, and a torn one cannot be mounted" min:"512" max:"4096"`
	Memory     Size      `yaml:"memory" doc:"that the content of a breakable disk may take; default: all of its size. A disk that will never be full can be larger than the machine's memory"`
	Record     *bool     `yaml:"record" doc:"whether all that is done to a breakable disk is recorded, so that a round with a finding can be looked at again; default: where a fault of the disk is listed"`
	Flusher    *Duration `yaml:"flusher" doc:"how often dirty pages are sent to a breakable disk, unsynced, as a busy kernel does it: without that a missing sync hides; 0s: never; default where the power is cut: 10ms, 10s or 0s, drawn"`
	Neighbour  string    `yaml:"neighbour" doc:"whether a process beside the tests changes a file of its own and syncs it, by fsync or syncfs, so that what the tests have changed is committed at moments of its choosing, sizes before data; default where the power is cut: drawn" enum:"none,fsync,syncfs"`
	Path       string    `yaml:"path" doc:"a directory that is there already, instead of a device"`
}

// Buckets is a number of buckets or a list that describes each.
type Buckets []Bucket

func (b *Buckets) decode(d *decoder, n *yaml.Node, at path) {
	*b = listOrNumber[Bucket](d, n, at)
	for i := range *b {
		if d.choose != nil && !(*b)[i].Transient && len((*b)[i].Clouds) == 0 {
			m, clouds := n.Content[i], &yaml.Node{}
			d.pick(&(*b)[i].Clouds, (*b)[i].Clouds.offered(d.reg), clouds, at.index(i).key("clouds"))
			setNode(m, "clouds", clouds)
		}
		if (*b)[i].Name == "" {
			(*b)[i].Name = "bucket-" + strconv.Itoa(i+1)
		}
		(*b)[i].Versioning = (*b)[i].Versioning || (*b)[i].Replication.On
	}
}

// Volumes is a number of volumes or a list that describes each.
type Volumes []Volume

func (v *Volumes) decode(d *decoder, n *yaml.Node, at path) {
	*v = listOrNumber[Volume](d, n, at)
	for i := range *v {
		if (*v)[i].Name == "" {
			(*v)[i].Name = "volume-" + strconv.Itoa(i+1)
		}
	}
}

const maxTargets = 1000 // of one kind in one scenario

func listOrNumber[T any](d *decoder, n *yaml.Node, at path) []T {
	var all []T
	if n.Kind == yaml.SequenceNode {
		d.value(n, reflect.ValueOf(&all).Elem(), at)
		return all
	}
	var count Count
	before := len(d.problems)
	d.value(n, reflect.ValueOf(&count).Elem(), at)
	if count > maxTargets {
		d.problem(n, "%d: at most %d", count, maxTargets)
	}
	if len(d.problems) > before {
		return nil
	}
	if d.choose != nil { // a plan describes each
		*n = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Line: n.Line, Column: n.Column}
		for range count {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: n.Line, Column: n.Column})
		}
	}
	return make([]T, count)
}

// Objects are what tests on buckets put.
type Objects struct {
	Count  Amount      `yaml:"count" doc:"how many; default 10" max:"1000000000"`
	Size   Range[Size] `yaml:"size" doc:"of each; a range is drawn once an object; default 1K" max:"144115188075855872"`
	Prefix KeyPrefix   `yaml:"prefix" doc:"what their keys begin with, without . and .. as names; a slash follows it"`
}

// Files are what tests on volumes write.
type Files struct {
	Count  Amount      `yaml:"count" doc:"how many; default 10" max:"1000000000"`
	Size   Range[Size] `yaml:"size" doc:"of each; a range is drawn once a file; default 1M" max:"144115188075855872"`
	Prefix Directory   `yaml:"prefix" doc:"the directory that they are in, a relative path without . and .."`
	Names  string      `yaml:"names" doc:"plain: digits; odd: 255 bytes with every byte that a name may have; default plain" enum:"plain,odd"`
}

// Expect turns a verdict round: pass if findings came, all of them of these
// kinds and each kind at least once; fail otherwise.
type Expect struct {
	Fail []verdict.Kind `yaml:"fail" doc:"the kinds of finding that must come, and no other" required:"true"`
}

// Validate wants kinds that there are.
func (e *Expect) Validate() error {
	if len(e.Fail) == 0 {
		return errors.New("expect wants at least one kind of finding under fail")
	}
	var known []string
	for _, k := range verdict.Kinds() {
		known = append(known, string(k))
	}
	for _, k := range e.Fail {
		if !slices.Contains(known, string(k)) {
			if near := nearest(string(k), known); near != "" {
				return errors.New("unknown kind of finding " + strconv.Quote(string(k)) + ": did you mean " + strconv.Quote(near) + "?")
			}
			return errors.New("unknown kind of finding " + strconv.Quote(string(k)))
		}
	}
	return nil
}
