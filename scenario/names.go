package scenario

import (
	"fmt"
	"strings"
)

// Limits of names on any target: NAME_MAX and PATH_MAX of Linux with room for
// where a volume is mounted (limits.h), and the keys of S3 with room for the
// number of an object.
const (
	maxName = 255
	maxPath = 3000
	maxKey  = 1024 - len("/0123456789")
)

// Directory is a path below that of a volume's files, without a way out of there.
// Empty: that one itself.
type Directory string

// UnmarshalText reads one.
func (d *Directory) UnmarshalText(b []byte) error {
	text := string(b)
	switch {
	case strings.HasPrefix(text, "/"):
		return fmt.Errorf("%q: want a directory below that of the files, without a slash at the beginning", text)
	case len(text) > maxPath:
		return fmt.Errorf("a path of %d bytes: at most %d", len(text), maxPath)
	}
	if text != "" {
		if err := components(text); err != nil {
			return err
		}
	}
	*d = Directory(text)
	return nil
}

// KeyPrefix is what the keys of objects begin with.
type KeyPrefix string

// UnmarshalText reads one. Clients and stores resolve what looks like a relative
// path, so a key that has . or .. in it may come to be another.
func (k *KeyPrefix) UnmarshalText(b []byte) error {
	text := string(b)
	if len(text) > maxKey {
		return fmt.Errorf("a prefix of %d bytes: at most %d", len(text), maxKey)
	}
	if text != "" {
		if err := components(text); err != nil {
			return err
		}
	}
	*k = KeyPrefix(text)
	return nil
}

// components checks the names between the slashes.
func components(text string) error {
	for name := range strings.SplitSeq(text, "/") {
		switch {
		case name == "" || name == "." || name == "..":
			return fmt.Errorf("%q: want names with one slash between two, and neither . nor .. among them", text)
		case len(name) > maxName:
			return fmt.Errorf("a name of %d bytes: at most %d", len(name), maxName)
		case strings.ContainsRune(name, 0):
			return fmt.Errorf("%q: a name has no zero byte", text)
		}
	}
	return nil
}
