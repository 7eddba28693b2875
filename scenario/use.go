package scenario

import (
	"reflect"
	"slices"

	"go.yaml.in/yaml/v4"
)

// Aim says which target a test, a fault or a check is for.
type Aim struct {
	On string `yaml:"on" doc:"the name of one target; default: every target of the right kind"`
}

// TestUse is a test as a scenario lists it: its name alone, or with options.
type TestUse struct {
	Test    *Test
	Aim     Aim
	Options any // a pointer to what the test was registered with
}

// CheckUse is a check as a scenario lists it.
type CheckUse struct {
	Check   *Check
	Aim     Aim
	Options any
}

// FaultUse is a fault as a scenario lists it: options and trigger side by side.
type FaultUse struct {
	Fault   *Fault
	Aim     Aim
	Trigger Trigger
	Options any
}

// Trigger says when a fault acts. Without any of it the fault is on for as
// long as the tests run.
type Trigger struct {
	After *When           `yaml:"after" doc:"it begins when so much time has passed, or so many operations, writes or flushes were done, since the tests began"`
	Every *When           `yaml:"every" doc:"it begins again and again, so much after it began last"`
	For   Range[Duration] `yaml:"for" doc:"how long it stays; default: until the tests end"`
	Times Count           `yaml:"times" doc:"how often it begins; default: once, with every without end" min:"1"`
}

// use reads one item of a list of tests, faults or checks: the name, and a
// node of the options or nil.
func use(d *decoder, n *yaml.Node, what string, known []string) (string, *yaml.Node, bool) {
	name, options := n, (*yaml.Node)(nil)
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 {
		name, options = n.Content[0], n.Content[1]
		if options.Kind == yaml.ScalarNode && options.ShortTag() == "!!null" {
			options = nil
		}
	}
	if name.Kind != yaml.ScalarNode {
		d.problem(n, "want the name of a %s, or the name with its options, not %s", what, kindOf(n))
		return "", nil, false
	}
	if !slices.Contains(known, name.Value) {
		d.unknown(name, what, known)
		return "", nil, false
	}
	return name.Value, options, true
}

// decodeOptions fills fresh options of the type of zero from the node, beside
// the structs that share the mapping with them.
func decodeOptions(d *decoder, n *yaml.Node, at path, zero any, beside ...any) any {
	options := reflect.New(reflect.TypeOf(zero))
	options.Elem().Set(reflect.ValueOf(zero)) // what the file leaves out keeps its default
	if n == nil {
		return options.Interface()
	}
	vs := []reflect.Value{options.Elem()}
	for _, b := range beside {
		vs = append(vs, reflect.ValueOf(b).Elem())
	}
	before := len(d.problems)
	d.structs(n, at, vs...)
	if v, ok := options.Interface().(Validator); ok && len(d.problems) == before {
		if err := v.Validate(); err != nil {
			d.problem(n, "%v", err)
		}
	}
	return options.Interface()
}

func (u *TestUse) decode(d *decoder, n *yaml.Node, at path) {
	name, options, ok := use(d, n, "test", names(d.reg.tests))
	if !ok {
		return
	}
	u.Test = d.reg.tests[name]
	u.Options = decodeOptions(d, options, at.key(name), u.Test.Options, &u.Aim)
}

func (u *CheckUse) decode(d *decoder, n *yaml.Node, at path) {
	name, options, ok := use(d, n, "check", names(d.reg.checks))
	if !ok {
		return
	}
	u.Check = d.reg.checks[name]
	u.Options = decodeOptions(d, options, at.key(name), u.Check.Options, &u.Aim)
}

func (u *FaultUse) decode(d *decoder, n *yaml.Node, at path) {
	name, options, ok := use(d, n, "fault", names(d.reg.faults))
	if !ok {
		return
	}
	u.Fault = d.reg.faults[name]
	u.Options = decodeOptions(d, options, at.key(name), u.Fault.Options, &u.Aim, &u.Trigger)
	if t := u.Trigger; t.Every != nil && t.Times == 0 && u.Fault.EndsRound() {
		d.problem(n, "%s ends a round each time, so every wants times", name)
	}
	if t := u.Trigger; t.Every != nil && t.For == (Range[Duration]{}) && !u.Fault.Instant && !u.Fault.EndsRound() {
		d.problem(n, "%s stays until the tests end, so every wants for", name)
	}
}
