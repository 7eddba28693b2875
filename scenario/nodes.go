package scenario

import "go.yaml.in/yaml/v4"

func scalarNode(value string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(value)
	return n
}

// plainNode is a scalar whose type follows from how it looks.
func plainNode(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }

// setScalar sets a key of a mapping, in its place or at the end.
func setScalar(m *yaml.Node, key, value string) {
	v := plainNode(value)
	if key == "name" {
		v = scalarNode(value)
	}
	setNode(m, key, v)
}

func setNode(m *yaml.Node, key string, v *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = v
			return
		}
	}
	m.Content = append(m.Content, scalarNode(key), v)
}

// setRange sets a key to a value, or to {min, max} where they differ.
func setRange(m *yaml.Node, key, lo, hi string) {
	if lo == hi {
		setScalar(m, key, lo)
		return
	}
	setNode(m, key, &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		scalarNode("min"), plainNode(lo), scalarNode("max"), plainNode(hi)}})
}

// keyOrNew is the mapping under a key, which is made if it is missing.
func keyOrNew(m *yaml.Node, key string) *yaml.Node {
	if v := keyNode(m, key); v != m {
		return v
	}
	v := &yaml.Node{Kind: yaml.MappingNode}
	setNode(m, key, v)
	return v
}

func dropKey(m *yaml.Node, key string) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content = append(m.Content[:i], m.Content[i+2:]...)
			return
		}
	}
}
