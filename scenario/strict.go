package scenario

import (
	"errors"
	"io"
	"os"
	"reflect"

	"go.yaml.in/yaml/v4"
)

// Cloud is one backend type: a name of CloudNames, or its old number.
type Cloud string

func (c *Cloud) decode(d *decoder, n *yaml.Node, _ path) {
	if name, ok := d.cloud(n); ok {
		*c = Cloud(name)
	}
}

// ReadStrict reads the YAML file at path into the struct or map that v points
// to, as strictly as a scenario: fields are found by their yaml tags, and
// whatever is wrong is told at once, with its place, as a *ConfigError.
func ReadStrict(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return Misconfigured(path, "%v", errors.Unwrap(err))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return Misconfigured(path, "cannot be read: %v", err)
	}
	if len(b) > MaxFile {
		return Misconfigured(path, "has more than %v", Size(MaxFile))
	}
	root, err := flatten(path, b)
	if err != nil {
		return err
	}
	d := &decoder{file: path}
	d.value(root, reflect.ValueOf(v).Elem(), nil)
	if len(d.problems) > 0 {
		return (&ConfigError{d.problems}).sorted()
	}
	return nil
}

// flatten loads one YAML document and follows its aliases.
func flatten(file string, b []byte) (*yaml.Node, error) {
	root, err := load(b)
	if err != nil {
		return nil, &ConfigError{[]Problem{yamlProblem(file, err)}}
	}
	flat := &flattener{left: maxValues}
	if root, err = flat.flatten(root, 0); err != nil {
		return nil, &ConfigError{[]Problem{{file, flat.line, flat.column, err.Error()}}}
	}
	return root, nil
}
