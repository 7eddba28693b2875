package scenario

import (
	"errors"
	"io"
	"os"
	"reflect"
	"syscall"

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
func ReadStrict(path string, v any) error { return readStrict(path, v, false) }

// ReadSecrets is ReadStrict for a file with secrets in it: errors say where
// something is wrong and what should be there, and nothing of what is there.
func ReadSecrets(path string, v any) error { return readStrict(path, v, true) }

func readStrict(path string, v any, secret bool) error {
	f, err := openFile(path)
	if err != nil {
		return err
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
		return withoutText(err, secret)
	}
	d := &decoder{file: path, secret: secret}
	d.value(root, reflect.ValueOf(v).Elem(), nil)
	if len(d.problems) > 0 {
		return (&ConfigError{d.problems}).sorted()
	}
	return nil
}

// withoutText is an error of the form of a file. What the YAML library says may
// quote what it read.
func withoutText(err error, secret bool) error {
	var c *ConfigError
	if secret && errors.As(err, &c) {
		for i := range c.Problems {
			c.Problems[i].Text = "cannot be read as YAML " + hidden
		}
	}
	return err
}

// openFile opens a file to read it, without waiting for a process to open the
// other end of a FIFO: of one that nothing writes to yet it reads nothing.
func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, Misconfigured(path, "%v", errors.Unwrap(err))
	}
	return f, nil
}

// flatten loads one YAML document and follows its aliases.
func flatten(file string, b []byte) (*yaml.Node, error) {
	root, err := load(b)
	if err != nil {
		return nil, &ConfigError{[]Problem{yamlProblem(file, err)}}
	}
	var placed *placedError
	if err := (&aliases{of: map[*yaml.Node]int{}}).check(root); errors.As(err, &placed) {
		return nil, &ConfigError{[]Problem{{file, placed.at.Line, placed.at.Column, placed.text}}}
	}
	flat := &flattener{left: maxValues}
	if root, err = flat.flatten(root, 0); err != nil {
		return nil, &ConfigError{[]Problem{{file, flat.line, flat.column, err.Error()}}}
	}
	return root, nil
}
