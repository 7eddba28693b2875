package machine

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// mountOptions is a comma-separated list as mount(8) takes it, sorted by who
// in the kernel wants to hear it.
type mountOptions struct {
	attributes int         // MOUNT_ATTR_* of the mount
	flags      []string    // words for the file system
	values     [][2]string // key=value for the file system
}

// attributesOf are the options that concern the mount and not the file system
// (mount(8), mount_setattr(2)).
func attributesOf(word string) (set, clear int, ok bool) {
	switch word {
	case "defaults", "suid", "dev", "exec", "diratime", "symfollow":
		return 0, 0, true // as it is without
	case "relatime", "atime", "norelatime", "nostrictatime":
		return 0, unix.MOUNT_ATTR__ATIME, true
	case "ro":
		return unix.MOUNT_ATTR_RDONLY, 0, true
	case "rw":
		return 0, unix.MOUNT_ATTR_RDONLY, true
	case "nosuid":
		return unix.MOUNT_ATTR_NOSUID, 0, true
	case "nodev":
		return unix.MOUNT_ATTR_NODEV, 0, true
	case "noexec":
		return unix.MOUNT_ATTR_NOEXEC, 0, true
	case "noatime":
		return unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR__ATIME, true
	case "strictatime":
		return unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR__ATIME, true
	case "nodiratime":
		return unix.MOUNT_ATTR_NODIRATIME, 0, true
	case "nosymfollow":
		return unix.MOUNT_ATTR_NOSYMFOLLOW, 0, true
	}
	return 0, 0, false
}

// CheckMountOptions returns an error if a list of mount options is none that Mount
// takes, whatever the file system.
func CheckMountOptions(list string) error {
	_, err := parseMountOptions(list)
	return err
}

// parseMountOptions reads a list like "commit=1000,noatime". A later word
// overrules an earlier one. Words that only mount(8) knows are refused.
func parseMountOptions(list string) (mountOptions, error) {
	var o mountOptions
	if strings.ContainsAny(list, "\x00\"") {
		return o, fmt.Errorf("mount options %q: quotes and zero bytes are not understood", list)
	}
	for word := range strings.SplitSeq(list, ",") {
		if set, clear, ok := attributesOf(word); ok {
			o.attributes = o.attributes&^clear | set
			if word == "ro" || word == "rw" {
				o.flags = append(o.flags, word) // the file system too: it would replay its journal otherwise
			}
			continue
		}
		key, value, hasValue := strings.Cut(word, "=")
		switch {
		case word == "":
		case word == "loop", word == "auto", word == "noauto", word == "user", word == "users", word == "nofail",
			word == "remount", word == "bind", strings.HasPrefix(word, "x-"), strings.HasPrefix(word, "X-"), key == "offset", key == "sizelimit":
			return o, fmt.Errorf("mount option %q is one of mount(8), not of a file system", word)
		case hasValue:
			o.values = append(o.values, [2]string{key, value})
		default:
			o.flags = append(o.flags, word)
		}
	}
	return o, nil
}
