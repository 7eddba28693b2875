package scenario

import (
	"path/filepath"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"
)

// scenarioWord stands, in the words of a command, for the directory of the
// scenario's file: so that a scenario finds the scripts beside it.
const scenarioWord = "{scenario}"

// Command is a program and its words. In a plan {scenario} is replaced by the
// directory that it stands for, as an absolute path: a plan lies elsewhere.
type Command []string

func (c *Command) decode(d *decoder, n *yaml.Node, at path) {
	before := len(d.problems)
	d.slice(n, reflect.ValueOf((*[]string)(c)).Elem(), at)
	if d.choose == nil || len(d.problems) > before {
		return
	}
	dir, err := filepath.Abs(filepath.Dir(d.file)) // of standard input: the working directory
	if err != nil {
		d.problem(n, "%s: %v", scenarioWord, err)
		return
	}
	for i, word := range *c {
		if strings.Contains(word, scenarioWord) {
			(*c)[i] = strings.ReplaceAll(word, scenarioWord, dir)
			n.Content[i] = scalarNode((*c)[i])
		}
	}
}
