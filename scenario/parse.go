package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Limits of a scenario file.
const (
	MaxFile   = 16 << 20  // bytes
	maxValues = 2_000_000 // after all aliases are followed
	maxDepth  = 100
)

// Version is the version of the language that this package reads.
const Version = 1

// Scenario is a scenario that was read from a file.
type Scenario struct {
	Spec
	file string
	node *yaml.Node // its mapping, without aliases
	reg  *Registry
}

// ReadFile parses the scenario file at path. "-" is standard input.
func ReadFile(path string, reg *Registry) ([]*Scenario, error) {
	var in io.Reader = os.Stdin
	if path != "-" {
		f, err := openFile(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, MaxFile+1))
	if err != nil {
		return nil, Misconfigured(path, "cannot be read: %v", err)
	}
	return Parse(path, b, reg)
}

// Parse reads a scenario file. file is what errors call it. Everything that is
// wrong is told at once, as a *ConfigError.
func Parse(file string, b []byte, reg *Registry) ([]*Scenario, error) {
	if len(b) > MaxFile {
		return nil, Misconfigured(file, "a scenario file has at most %v", Size(MaxFile))
	}
	root, err := flatten(file, b)
	if err != nil {
		return nil, err
	}
	d := &decoder{file: file, reg: reg}
	scenarios := d.document(root)
	if len(d.problems) > 0 {
		return nil, (&ConfigError{d.problems}).sorted()
	}
	return scenarios, nil
}

func load(b []byte) (*yaml.Node, error) {
	var doc yaml.Node
	loader, err := yaml.NewLoader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if err := loader.Load(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty")
		}
		return nil, err
	}
	var more yaml.Node
	if err := loader.Load(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file holds more than one document")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, errors.New("the file is empty")
	}
	return doc.Content[0], nil
}

// yamlProblem is the YAML library's error with its place, where it names one.
func yamlProblem(file string, err error) Problem {
	p := Problem{File: file, Text: strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: ")}
	var le *yaml.LoadError
	if errors.As(err, &le) {
		p.Line, p.Column = le.Mark.Line, le.Mark.Column
		p.Text = le.Message
	}
	return p
}

// document decodes the document: a mapping with scenarios, or the bare list.
func (d *decoder) document(root *yaml.Node) []*Scenario {
	list := root
	if root.Kind == yaml.MappingNode {
		list = d.header(root)
	}
	if list == nil {
		return nil
	}
	if list.Kind != yaml.SequenceNode {
		d.problem(list, "want a list of scenarios, not %s", kindOf(list))
		return nil
	}
	if len(list.Content) == 0 {
		d.problem(list, "there is no scenario")
	}
	var all []*Scenario
	seen := map[string]int{}
	for _, n := range list.Content {
		s := &Scenario{file: d.file, node: n, reg: d.reg}
		d.spec(n, &s.Spec)
		if line, twice := seen[s.Name]; twice && s.Name != "" {
			d.problem(n, "a scenario is named %q already, in line %d", s.Name, line)
		}
		seen[s.Name] = n.Line
		all = append(all, s)
	}
	return all
}

// header reads the mapping around the scenarios and gives their list.
func (d *decoder) header(root *yaml.Node) *yaml.Node {
	var list *yaml.Node
	for key, value := range d.pairs(root) {
		switch key.Value {
		case "assay":
			if v, ok := d.whole(value); ok && v != Version {
				d.problem(value, "version %d of the language; this assay reads %d", v, Version)
			}
		case "clouds":
			if value.Kind != yaml.MappingNode {
				d.problem(value, "want a mapping from names to backend types, not %s", kindOf(value))
				continue
			}
			for _, v := range d.pairs(value) {
				d.cloud(v)
			}
		case "scenarios":
			list = value
		default:
			d.unknown(key, "key", []string{"assay", "clouds", "scenarios"})
		}
	}
	if list == nil {
		d.problem(root, "the key %q is missing", "scenarios")
	}
	return list
}

// spec decodes one scenario and holds its parts against each other.
func (d *decoder) spec(n *yaml.Node, s *Spec) {
	before := len(d.problems)
	d.value(n, reflect.ValueOf(s).Elem(), path{})
	if len(d.problems) == before {
		d.agreement(n, s)
	}
}

// Agreer is a value of options that is held against the whole scenario: what it
// names must be there.
type Agreer interface{ Agrees(s *Spec) error }

// agreement checks that every test, fault and check has a target of its kind,
// and that there is a package for every kind of target.
func (d *decoder) agreement(n *yaml.Node, s *Spec) {
	kinds := map[string]string{}
	count := map[string]int{}
	for _, b := range s.Required.Buckets {
		kinds[b.Name] = BucketKind
		count[BucketKind]++
	}
	for _, v := range s.Required.Volumes {
		kinds[v.Name] = VolumeKind
		count[VolumeKind]++
	}
	for _, kind := range names(count) {
		if d.reg.targets[kind] == nil {
			d.problem(keyNode(n, "required"), "this assay has no %s", kind)
			return
		}
		if refuse := d.reg.targets[kind].Refuse; refuse != nil {
			if err := refuse(s); err != nil {
				d.problem(keyNode(keyNode(n, "required"), kind), "%v", err)
			}
		}
	}
	hold := func(key string, i int, name, target, on string, options any) {
		at := item(keyNode(n, key), i)
		switch {
		case count[target] == 0:
			d.problem(at, "%s works on %s, and the scenario requires none", name, target)
		case on != "" && kinds[on] == "":
			d.problem(at, "%s is on %q, and no target has that name: there are %s", name, on, strings.Join(names(kinds), ", "))
		case on != "" && kinds[on] != target:
			d.problem(at, "%s works on %s, and %q is none", name, target, on)
		default:
			if o, ok := options.(Agreer); ok {
				if err := o.Agrees(s); err != nil {
					d.problem(at, "%v", err)
				}
			}
		}
	}
	for i, u := range s.Tests {
		hold("tests", i, u.Test.Name, u.Test.Target, u.Aim.On, u.Options)
	}
	for i, u := range s.Faults {
		hold("faults", i, u.Fault.Name, u.Fault.Target, u.Aim.On, u.Options)
		if u.Fault.Shown == nil {
			continue
		}
		if err := u.Fault.Shown(s, u); err != nil {
			d.problem(item(keyNode(n, "faults"), i), "%s: %v", u.Fault.Name, err)
		}
	}
	for i, u := range s.Checks {
		hold("checks", i, u.Check.Name, u.Check.Target, u.Aim.On, u.Options)
	}
}

// item is the i-th node of a list, or the node itself if it is none.
func item(n *yaml.Node, i int) *yaml.Node {
	if n.Kind == yaml.SequenceNode && i < len(n.Content) {
		return n.Content[i]
	}
	return n
}

// keyNode is the value of a key of a mapping, or the mapping if it lacks it.
func keyNode(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return n
}

// flattener copies a tree with its aliases followed and its merge keys (<<)
// merged. What it copies is counted: aliases of aliases can stand for more
// values than any machine holds.
type flattener struct {
	left         int
	line, column int
}

func (f *flattener) flatten(n *yaml.Node, depth int) (*yaml.Node, error) {
	f.left--
	if f.left < 0 || depth > maxDepth {
		f.line, f.column = n.Line, n.Column
		if depth > maxDepth {
			return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
		}
		return nil, fmt.Errorf("aliases make more than %s values of it", strconv.Itoa(maxValues))
	}
	if n.Kind == yaml.AliasNode {
		return f.flatten(n.Alias, depth+1)
	}
	c := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value, Style: n.Style, Line: n.Line, Column: n.Column}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && isMerge(n.Content[i-1]) {
			continue
		}
		if n.Kind == yaml.MappingNode && i%2 == 0 && isMerge(child) {
			if err := f.merge(c, n.Content[i+1], n, depth); err != nil {
				return nil, err
			}
			continue
		}
		flat, err := f.flatten(child, depth+1)
		if err != nil {
			return nil, err
		}
		c.Content = append(c.Content, flat)
	}
	return c, nil
}

func isMerge(key *yaml.Node) bool { return key.Value == "<<" && key.Style == 0 }

// merge adds to c the pairs of the mapping (or of the list of mappings) from
// that neither c nor the mapping around it has.
func (f *flattener) merge(c, from, around *yaml.Node, depth int) error {
	flat, err := f.flatten(from, depth+1)
	if err != nil {
		return err
	}
	sources := []*yaml.Node{flat}
	if flat.Kind == yaml.SequenceNode {
		sources = flat.Content
	}
	for _, s := range sources {
		if s.Kind != yaml.MappingNode {
			f.line, f.column = from.Line, from.Column
			return errors.New("<< wants a mapping to merge")
		}
		for i := 0; i+1 < len(s.Content); i += 2 {
			if !hasKey(c, s.Content[i].Value) && !hasKey(around, s.Content[i].Value) {
				c.Content = append(c.Content, s.Content[i], s.Content[i+1])
			}
		}
	}
	return nil
}

func hasKey(m *yaml.Node, key string) bool {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key && m.Content[i].ShortTag() == "!!str" {
			return true
		}
	}
	return false
}

// clone is a deep copy of a tree without aliases.
func clone(n *yaml.Node) *yaml.Node {
	c := *n
	c.Content = slices.Clone(n.Content)
	for i, child := range c.Content {
		c.Content[i] = clone(child)
	}
	return &c
}
