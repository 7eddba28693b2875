package scenario

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// field is one key of a struct that is written in a scenario file, as its tags
// declare it:
//
//	Block Size `yaml:"block" doc:"bytes a write" min:"1" max:"1073741824"`
//	Keep string `yaml:"keep" doc:"what survives" enum:"none,all,random"`
//	Command []string `yaml:"command" doc:"what is run" required:"true"`
//
// A field without a yaml tag is not written. An embedded struct gives its keys.
type field struct {
	name     string
	doc      string
	typ      reflect.Type
	index    []int
	min, max *float64
	enum     []string
	required bool
	value    reflect.Value // where it is decoded to
}

// fieldsOf are the fields of a struct type, in the order of declaration.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		sf := t.Field(i)
		if sf.Anonymous && sf.Type.Kind() == reflect.Struct {
			for _, f := range fieldsOf(sf.Type) {
				f.index = append([]int{i}, f.index...)
				fields = append(fields, f)
			}
			continue
		}
		name := sf.Tag.Get("yaml")
		if name == "" {
			continue
		}
		f := field{name: name, doc: sf.Tag.Get("doc"), typ: sf.Type, index: []int{i},
			min: number(sf.Tag, "min"), max: number(sf.Tag, "max"), required: sf.Tag.Get("required") == "true"}
		if e := sf.Tag.Get("enum"); e != "" {
			f.enum = strings.Split(e, ",")
		}
		fields = append(fields, f)
	}
	return fields
}

// number is a numeric tag; one that is no number is a mistake in the program.
func number(tag reflect.StructTag, key string) *float64 {
	s, ok := tag.Lookup(key)
	if !ok {
		return nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("scenario: tag " + key + ": " + err.Error())
	}
	return &f
}

// names are the keys of a map, sorted.
func names[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
