package scenario

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"

	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
)

// Schema is the JSON Schema (draft 2020-12) of a scenario file, made from the
// Go types and the registry, so that editors complete and check what they can.
// What is valid is decided by Parse alone: a schema cannot say all of it.
func (r *Registry) Schema() []byte {
	c := composer{Registry: r, defs: schema{}}
	scenarios := schema{"type": "array", "minItems": 1, "items": c.structSchema(reflect.TypeFor[Spec]())}
	root := schema{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "assay scenarios",
		"$defs":   c.defs,
		"oneOf": []any{
			schema{"$ref": "#/$defs/scenarios"},
			schema{
				"type": "object", "additionalProperties": false, "required": []string{"scenarios"},
				"properties": schema{
					"assay":     schema{"const": Version, "description": "version of the language"},
					"clouds":    schema{"type": "object", "additionalProperties": cloudSchema(), "description": "anchors for the reader; the values are backend types"},
					"scenarios": schema{"$ref": "#/$defs/scenarios"},
				},
			},
		},
	}
	c.defs["scenarios"] = scenarios
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("scenario: the schema is not JSON: " + err.Error())
	}
	return append(b, '\n')
}

// composer makes a schema. Each type is written once, under its name.
type composer struct {
	*Registry
	defs schema
}

type schema map[string]any

const (
	sizePattern     = `^[0-9]+(\.[0-9]+)? ?(B|K|M|G|T|Ki|Mi|Gi|Ti)?$`
	durationPattern = `^ *[0-9.]+ *(d|h|m|s|ms|us|ns)( *[0-9.]+ *(h|m|s|ms|us|ns))*$`
)

// typeSchema is the schema of a value; every value may also be a choice, of
// which each alternative may be one again.
func (r *composer) typeSchema(t reflect.Type) schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := defName(t)
	ref := func() schema { return schema{"$ref": "#/$defs/" + name} }
	if _, known := r.defs[name]; !known {
		r.defs[name] = nil // a type that holds itself finds it here
		r.defs[name] = schema{"anyOf": []any{r.plainSchema(t), choice(ref())}}
	}
	return ref()
}

// choice is the schema of {one-of: [...]}.
func choice(of schema) schema {
	return schema{
		"type": "object", "required": []string{"one-of"}, "additionalProperties": false,
		"properties": schema{"one-of": schema{"type": "array", "minItems": 1, "items": of}},
	}
}

var importPath = regexp.MustCompile(`[^\[\]*]*/`)

// defName is the name of a type with nothing in it that a reference would have
// to escape.
func defName(t reflect.Type) string {
	short := importPath.ReplaceAllString(t.String(), "")
	return strings.NewReplacer("[]", "list-of-", "[", "-of-", "]", "").Replace(short)
}

func (r *composer) plainSchema(t reflect.Type) schema {
	switch t {
	case reflect.TypeFor[Size]():
		return schema{"anyOf": []any{schema{"type": "integer", "minimum": 0}, schema{"type": "string", "pattern": sizePattern}}}
	case reflect.TypeFor[Duration]():
		return schema{"type": "string", "pattern": durationPattern}
	case reflect.TypeFor[Range[Size]]():
		return rangeSchema(r.typeSchema(reflect.TypeFor[Size]()))
	case reflect.TypeFor[Range[Duration]]():
		return rangeSchema(r.typeSchema(reflect.TypeFor[Duration]()))
	case reflect.TypeFor[Count](), reflect.TypeFor[Amount](), reflect.TypeFor[Range[Whole]]():
		return rangeSchema(schema{"type": "integer", "minimum": 0})
	case reflect.TypeFor[When]():
		count := rangeSchema(schema{"type": "integer", "minimum": 0})
		return schema{"anyOf": []any{rangeSchema(r.typeSchema(reflect.TypeFor[Duration]())), schema{
			"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
			"properties": schema{"operations": count, "writes": count, "flushes": count},
		}}}
	case reflect.TypeFor[Clouds]():
		return schema{"anyOf": []any{cloudSchema(), schema{"type": "array", "minItems": 1, "items": cloudSchema()}}}
	case reflect.TypeFor[Replication]():
		return schema{"anyOf": []any{schema{"type": "boolean"}, r.typeSchema(reflect.TypeFor[Clouds]())}}
	case reflect.TypeFor[Buckets]():
		return schema{"anyOf": []any{r.typeSchema(reflect.TypeFor[Count]()), schema{"type": "array", "items": r.typeSchema(reflect.TypeFor[Bucket]())}}}
	case reflect.TypeFor[Volumes]():
		return schema{"anyOf": []any{r.typeSchema(reflect.TypeFor[Count]()), schema{"type": "array", "items": r.typeSchema(reflect.TypeFor[Volume]())}}}
	case reflect.TypeFor[TestUse]():
		return useSchema(r, r.tests, func(t *Test) (string, any) { return t.Doc, t.Options })
	case reflect.TypeFor[CheckUse]():
		return useSchema(r, r.checks, func(c *Check) (string, any) { return c.Doc, c.Options })
	case reflect.TypeFor[FaultUse]():
		return useSchema(r, r.faults, func(f *Fault) (string, any) { return f.Doc, f.Options }, reflect.TypeFor[Trigger]())
	case reflect.TypeFor[verdict.Kind]():
		return schema{"enum": verdict.Kinds()}
	case reflect.TypeFor[seed.Seed]():
		return schema{"type": "integer", "minimum": 0}
	}
	switch t.Kind() {
	case reflect.Struct:
		return r.structSchema(t)
	case reflect.Slice:
		return schema{"type": "array", "items": r.typeSchema(t.Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": r.typeSchema(t.Elem())}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.String:
		return schema{"type": []string{"string", "number", "boolean"}}
	case reflect.Float64:
		return schema{"type": "number"}
	default:
		return schema{"type": "integer"}
	}
}

func rangeSchema(of schema) schema {
	return schema{"anyOf": []any{of, schema{
		"type": "object", "required": []string{"min", "max"}, "additionalProperties": false,
		"properties": schema{"min": of, "max": of},
	}}}
}

func cloudSchema() schema {
	return schema{"anyOf": []any{schema{"enum": cloudNames}, schema{"type": "integer", "minimum": 1, "maximum": len(cloudNames)}}}
}

// structSchema is the schema of a mapping with the fields of all the types.
func (r *composer) structSchema(types ...reflect.Type) schema {
	properties, required := schema{}, []string{}
	for _, t := range types {
		for _, f := range fieldsOf(t) {
			s := r.typeSchema(f.typ)
			if f.enum != nil {
				s = schema{"anyOf": []any{schema{"enum": f.enum}, choice(schema{"enum": f.enum})}}
			}
			if f.doc != "" {
				s["description"] = f.doc
			}
			if f.required {
				required = append(required, f.name)
			}
			properties[f.name] = s
		}
	}
	s := schema{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// useSchema is the schema of a list's item: a name, or a name with options.
func useSchema[T any](r *composer, all map[string]*T, of func(*T) (doc string, options any), beside ...reflect.Type) schema {
	alternatives := []any{schema{"enum": names(all)}}
	for _, name := range names(all) {
		doc, options := of(all[name])
		types := append([]reflect.Type{reflect.TypeOf(options), reflect.TypeFor[Aim]()}, beside...)
		alternatives = append(alternatives, schema{
			"type": "object", "required": []string{name}, "additionalProperties": false,
			"properties": schema{name: schema{"description": doc, "anyOf": []any{schema{"type": "null"}, r.structSchema(types...)}}},
		})
	}
	return schema{"anyOf": alternatives}
}
