package scenario

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// decoder turns YAML nodes into Go values, strictly: an unknown key, a wrong
// type or a value out of range is a problem with its place, and decoding goes
// on after it so that several are told at once.
//
// It runs in one of two modes. Without choose it checks a scenario: every
// alternative of every choice must be valid. With choose it makes a plan: each
// choice is made and the node is rewritten to what was chosen, so that the tree
// that was decoded is the plan.
type decoder struct {
	file     string
	reg      *Registry // whose tests, faults and checks have names
	problems []Problem
	choose   func(at path, n int) int // one of n alternatives; nil: check all
	between  func(at path, lo, hi int64) int64
	scale    float64 // factor of every Amount; 0 is 1
	secret   bool    // nothing of what is read may be in a problem
}

// path names a choice: the keys and indexes that lead to it.
type path []string

func (p path) key(k string) path { return append(p[:len(p):len(p)], k) }
func (p path) index(i int) path  { return p.key(strconv.Itoa(i)) }

// shaped is a type that is written in more than one form and decodes itself.
type shaped interface {
	decode(d *decoder, n *yaml.Node, at path)
}

// Validator is a value that is checked as a whole after it was decoded.
type Validator interface{ Validate() error }

func (d *decoder) problem(n *yaml.Node, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if d.secret && n.Value != "" {
		text = strings.ReplaceAll(text, strconv.Quote(n.Value), hidden)
		if strings.Contains(text, n.Value) {
			text = "this is not what belongs here"
		}
	}
	d.problems = append(d.problems, Problem{d.file, n.Line, n.Column, text})
}

// hidden stands for what is in a file of secrets.
const hidden = "(not shown)"

// value decodes n into v, which must be settable.
func (d *decoder) value(n *yaml.Node, v reflect.Value, at path) {
	if alternatives, ok := d.oneOf(n); ok {
		d.alternative(n, alternatives, v, at)
		return
	}
	before := len(d.problems)
	d.plain(n, v, at)
	if c, ok := v.Addr().Interface().(Validator); ok && len(d.problems) == before {
		if err := c.Validate(); err != nil {
			d.problem(n, "%v", err)
		}
	}
}

// oneOf gives the alternatives of {one-of: [...]}.
func (d *decoder) oneOf(n *yaml.Node) ([]*yaml.Node, bool) {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 || n.Content[0].Value != "one-of" {
		return nil, false
	}
	list := n.Content[1]
	if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		d.problem(list, "one-of wants a list of at least one alternative")
		return nil, true
	}
	return list.Content, true
}

func (d *decoder) alternative(n *yaml.Node, alternatives []*yaml.Node, v reflect.Value, at path) {
	if len(alternatives) == 0 {
		return
	}
	if d.choose != nil {
		*n = *alternatives[d.choose(at, len(alternatives))]
		d.value(n, v, at)
		return
	}
	for i := len(alternatives) - 1; i >= 0; i-- { // the first stays in v
		v.SetZero()
		d.value(alternatives[i], v, at)
	}
}

func (d *decoder) plain(n *yaml.Node, v reflect.Value, at path) {
	switch t := v.Addr().Interface().(type) {
	case shaped:
		t.decode(d, n, at)
		return
	case encoding.TextUnmarshaler:
		if d.scalar(n, describe(v.Type())) {
			if err := t.UnmarshalText([]byte(n.Value)); err != nil {
				d.problem(n, "%v", err)
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), at)
	case reflect.Struct:
		d.structs(n, at, v)
	case reflect.Slice:
		d.slice(n, v, at)
	case reflect.Map:
		d.mapping(n, v, at)
	default:
		d.basic(n, v)
	}
}

// scalar says whether n is a single value, and tells if it is not.
func (d *decoder) scalar(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		d.problem(n, "want %s, not %s", what, kindOf(n))
		return false
	}
	return true
}

func (d *decoder) basic(n *yaml.Node, v reflect.Value) {
	if !d.scalar(n, describe(v.Type())) {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(n.Value)
	case reflect.Bool:
		switch n.Value {
		case "true", "True", "TRUE":
			v.SetBool(true)
		case "false", "False", "FALSE":
			v.SetBool(false)
		default:
			d.problem(n, "%q: want true or false", n.Value)
		}
	case reflect.Int, reflect.Int64, reflect.Int32:
		if i, ok := d.whole(n); ok {
			if v.OverflowInt(i) {
				d.problem(n, "%s is too large", n.Value)
			}
			v.SetInt(i)
		}
	case reflect.Uint64, reflect.Uint32, reflect.Uint8:
		u, err := strconv.ParseUint(n.Value, 10, v.Type().Bits())
		if err != nil {
			d.problem(n, "%q: want a whole number from 0 to 2^%d-1", n.Value, v.Type().Bits())
		}
		v.SetUint(u)
	case reflect.Float64:
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || f-f != 0 {
			d.problem(n, "%q: want a number", n.Value)
			return
		}
		v.SetFloat(f)
	default:
		panic(fmt.Sprintf("scenario: an option cannot be of type %s", v.Type()))
	}
}

// whole reads a decimal whole number.
func (d *decoder) whole(n *yaml.Node) (int64, bool) {
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || n.Kind != yaml.ScalarNode {
		d.problem(n, "%s: want a whole number", shown(n))
		return 0, false
	}
	return i, true
}

func (d *decoder) slice(n *yaml.Node, v reflect.Value, at path) {
	if n.Kind != yaml.SequenceNode {
		d.problem(n, "want a list, not %s", kindOf(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		d.value(c, v.Index(i), at.index(i))
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, at path) {
	if n.Kind != yaml.MappingNode {
		d.problem(n, "want a mapping, not %s", kindOf(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for key, c := range d.pairs(n) {
		e := reflect.New(v.Type().Elem()).Elem()
		d.value(c, e, at.key(key.Value))
		v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), e)
	}
}

// pairs are the keys and values of a mapping; a key that comes twice is told.
func (d *decoder) pairs(n *yaml.Node) func(yield func(k, v *yaml.Node) bool) {
	return func(yield func(k, v *yaml.Node) bool) {
		seen := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k := n.Content[i]
			if line, twice := seen[k.Value]; twice {
				d.problem(k, "%q is there already, in line %d", k.Value, line)
				continue
			}
			seen[k.Value] = k.Line
			if !yield(k, n.Content[i+1]) {
				return
			}
		}
	}
}

// structs decodes one mapping into several structs, each of which takes the
// keys that it knows: a fault's trigger and its options stand side by side.
func (d *decoder) structs(n *yaml.Node, at path, vs ...reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.problem(n, "want a mapping, not %s", kindOf(n))
		return
	}
	fields := map[string]field{}
	for _, v := range vs {
		for _, f := range fieldsOf(v.Type()) {
			f.value = v.FieldByIndex(f.index)
			fields[f.name] = f
		}
	}
	missing := map[string]bool{}
	for name, f := range fields {
		missing[name] = f.required
	}
	for key, c := range d.pairs(n) {
		f, ok := fields[key.Value]
		if !ok {
			d.unknown(key, "key", names(fields))
			continue
		}
		missing[key.Value] = false
		before := len(d.problems)
		d.value(c, f.value, at.key(key.Value))
		if len(d.problems) == before {
			d.bounds(c, f)
		}
	}
	for _, name := range names(fields) {
		if missing[name] {
			d.problem(n, "the key %q is missing", name)
		}
	}
}

// unknown tells of a word that is none of those known.
func (d *decoder) unknown(n *yaml.Node, what string, known []string) {
	if near := nearest(n.Value, known); near != "" {
		d.problem(n, "unknown %s %q: did you mean %q?", what, n.Value, near)
		return
	}
	if len(known) == 0 {
		d.problem(n, "unknown %s %q: there is none here", what, n.Value)
		return
	}
	d.problem(n, "unknown %s %q: there are %s", what, n.Value, strings.Join(known, ", "))
}

// bounds holds a decoded field to its tags.
func (d *decoder) bounds(n *yaml.Node, f field) {
	v := f.value
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if f.enum != nil && v.Kind() == reflect.String && !slices.Contains(f.enum, v.String()) {
		d.unknown(n, f.name, f.enum)
	}
	if r, ok := v.Addr().Interface().(ends); ok {
		lowest, highest := r.ends()
		d.within(n, f, float64(lowest))
		d.within(n, f, float64(highest))
		return
	}
	switch {
	case v.CanInt():
		d.within(n, f, float64(v.Int()))
	case v.CanUint():
		d.within(n, f, float64(v.Uint()))
	case v.CanFloat():
		d.within(n, f, v.Float())
	}
}

// ends is a range; both of its ends are held to the bounds.
type ends interface {
	ends() (lowest, highest int64)
}

// within holds one number of a field to its tags.
func (d *decoder) within(n *yaml.Node, f field, x float64) {
	text := n.Value
	if f.typ == reflect.TypeFor[Range[Size]]() {
		text = Size(x).String()
	}
	if f.min != nil && x < *f.min {
		d.problem(n, "%s: %s is at least %s", text, f.name, bound(f.typ, *f.min))
	}
	if f.max != nil && x > *f.max {
		d.problem(n, "%s: %s is at most %s", text, f.name, bound(f.typ, *f.max))
	}
}

// bound is a limit of a field as a file says it.
func bound(t reflect.Type, limit float64) string {
	switch t {
	case reflect.TypeFor[Size](), reflect.TypeFor[Range[Size]]():
		return Size(limit).String()
	case reflect.TypeFor[Duration](), reflect.TypeFor[Range[Duration]]():
		return Duration(limit).String()
	}
	return fmt.Sprint(limit)
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.ShortTag() == "!!null":
		return "nothing"
	default:
		return strconv.Quote(n.Value)
	}
}

func shown(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		return strconv.Quote(n.Value)
	}
	return kindOf(n)
}

func describe(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Size]():
		return "a size"
	case reflect.TypeFor[Duration]():
		return "a duration"
	case reflect.TypeFor[Directory]():
		return "a directory"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint64, reflect.Uint32, reflect.Uint8:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	default:
		return "a word"
	}
}
