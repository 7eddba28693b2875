package owed

// verb is a history's verb as a small number.
type verb uint8

const (
	verbOther verb = iota // reads and whatever promises nothing
	verbPut
	verbDelete
	verbGet
	verbCreate
	verbMkdir
	verbWrite
	verbTruncate
	verbPunch
	verbUnlink
	verbRename
	verbLink
	verbFsync
	verbSyncDir
	verbSyncFS
	verbCheck
	verbExec // a line that a program has promised
	verbAllocate
)

// words has the verbs that are understood; of those that share a number, the
// first is the one that a checkpoint writes.
var words = [...]struct {
	word string
	verb verb
}{
	{"put", verbPut}, {"delete", verbDelete}, {"get", verbGet},
	{"create", verbCreate}, {"mkdir", verbMkdir},
	{"write", verbWrite}, {"append", verbWrite},
	{"truncate", verbTruncate}, {"punch", verbPunch},
	{"unlink", verbUnlink}, {"rmdir", verbUnlink},
	{"rename", verbRename}, {"link", verbLink},
	{"fsync", verbFsync}, {"fdatasync", verbFsync},
	{"syncdir", verbSyncDir}, {"syncfs", verbSyncFS},
	{"check", verbCheck}, {"exec", verbExec},
	{"allocate", verbAllocate},
}

func verbOf(word string) verb {
	for _, w := range words {
		if w.word == word {
			return w.verb
		}
	}
	return verbOther
}

func (v verb) String() string {
	for _, w := range words {
		if w.verb == v {
			return w.word
		}
	}
	return "read"
}

// changes reports whether v changes what a target holds. Reads, syncs and looks
// of a check do not, and a line of a program speaks of changes that only the
// program knows.
func (v verb) changes() bool {
	return v.onBucket() || v >= verbCreate && v <= verbLink || v == verbAllocate
}

// onBucket tells whether v belongs to buckets; the rest belong to volumes.
func (v verb) onBucket() bool { return v == verbPut || v == verbDelete }

// onVolume reports whether v belongs to volumes only.
func (v verb) onVolume() bool { return v >= verbCreate && v <= verbSyncFS || v == verbAllocate }

func (v verb) isSync() bool { return v >= verbFsync && v <= verbSyncFS }
