package scenario

import (
	"fmt"

	"go.yaml.in/yaml/v4"
)

// maxAliased is how many values aliases may add to those of the file. Aliases of
// aliases can stand for more than any machine holds, and a file of a few lines
// must not take seconds to be refused.
const maxAliased = 100_000

// aliases counts the values of a tree with its aliases followed, each anchor
// once, so that it takes no longer than the file is long.
type aliases struct {
	of map[*yaml.Node]int // values of what has an anchor; 0 while they are counted
}

// placedError is an error at a place in the file.
type placedError struct {
	at   *yaml.Node
	text string
}

func (e *placedError) Error() string { return e.text }

// check returns an error if the aliases make too much of the tree.
func (a *aliases) check(root *yaml.Node) error {
	_, added, err := a.count(root, 0)
	if err == nil && added > maxAliased {
		err = tooMany(root)
	}
	return err
}

func tooMany(n *yaml.Node) error {
	return &placedError{n, fmt.Sprintf("aliases add more than %d values to those of the file", maxAliased)}
}

// count gives the values of n, and how many of them are there by aliases.
func (a *aliases) count(n *yaml.Node, depth int) (all, added int, err error) {
	if depth > maxDepth {
		return 0, 0, &placedError{n, fmt.Sprintf("nested deeper than %d levels", maxDepth)}
	}
	if n.Kind == yaml.AliasNode {
		of, counted := a.of[n.Alias]
		if !counted || of == 0 {
			return 0, 0, &placedError{n, fmt.Sprintf("*%s stands in what it is an alias of", n.Value)}
		}
		return of, of, nil
	}
	if n.Anchor != "" {
		a.of[n] = 0
	}
	all = 1
	for _, child := range n.Content {
		more, by, err := a.count(child, depth+1)
		if err != nil {
			return 0, 0, err
		}
		all, added = all+more, added+by
		if added > maxAliased {
			return 0, 0, tooMany(child)
		}
	}
	if n.Anchor != "" {
		a.of[n] = all
	}
	return all, added, nil
}
