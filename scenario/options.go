package scenario

import "reflect"

// Option is one key of a test, a fault or a check, as the tags of its options
// declare it.
type Option struct {
	Name     string
	Type     reflect.Type
	Min, Max *float64 // nil: no bound
	Enum     []string // nil: any
	Required bool
}

// OptionsOf are the options of a test, a fault or a check, in the order of
// declaration. options is the value that it is registered with.
func OptionsOf(options any) []Option {
	var all []Option
	for _, f := range fieldsOf(reflect.TypeOf(options)) {
		all = append(all, Option{Name: f.name, Type: f.typ, Min: f.min, Max: f.max, Enum: f.enum, Required: f.required})
	}
	return all
}

// Tests are the registered tests, by name.
func (r *Registry) Tests() []*Test { return sortedByName(r.tests) }

// Faults are the registered faults, by name.
func (r *Registry) Faults() []*Fault { return sortedByName(r.faults) }

func sortedByName[T any](all map[string]*T) []*T {
	var list []*T
	for _, name := range names(all) {
		list = append(list, all[name])
	}
	return list
}
