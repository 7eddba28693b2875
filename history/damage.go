package history

import (
	"errors"
	"fmt"
)

// DamageError says that a history is not what its writer left: something that
// was durable is missing or altered. It is never returned for a tail that a
// crash may leave behind. The records read before it are true.
type DamageError struct {
	File   string // the segment, as a path, or as its place among the readers
	Offset int64  // of the first byte that cannot be read, from the start of File
	Reason string // for people
}

// Error is the place and the reason in one line.
func (e *DamageError) Error() string {
	return fmt.Sprintf("history: %s is damaged at byte %d: %s", e.File, e.Offset, e.Reason)
}

// ErrInUse is wrapped by what Create and Continue return while another writer,
// of this or another process, has the directory.
var ErrInUse = errors.New("another writer has this history")

// errRefused marks a record that exceeds a limit: the writer stays usable.
var errRefused = errors.New("record refused")
