package report

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/verdict"
)

// Schema is the JSON Schema (draft 2020-12) of a Document, made from its type.
func Schema() []byte {
	root := schemaOf(reflect.TypeFor[Document]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "what assay run --output json prints"
	b, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("report: the schema is not JSON: " + err.Error())
	}
	return append(b, '\n')
}

func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[verdict.Verdict]():
		return map[string]any{"enum": []string{"pass", "inconclusive", "fail"}}
	case reflect.TypeFor[verdict.Kind]():
		return map[string]any{"enum": verdict.Kinds()}
	}
	switch t.Kind() {
	case reflect.Struct:
		properties, required := map[string]any{}, []string{}
		for i := range t.NumField() {
			name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			properties[name] = schemaOf(t.Field(i).Type)
			if !strings.Contains(options, "omit") {
				required = append(required, name)
			}
		}
		return map[string]any{"type": "object", "additionalProperties": false, "properties": properties, "required": required}
	case reflect.Slice:
		s := map[string]any{"type": "array", "items": schemaOf(t.Elem())}
		if t.Elem().Kind() == reflect.Uint64 {
			s["type"] = []string{"array", "null"}
		}
		return s
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	default:
		return map[string]any{"type": "integer"}
	}
}
