package verdict

// Kind names the way in which a promise was broken.
type Kind string

// The kinds of finding. What was issued and never acknowledged may be there
// or not: that is no finding.
const (
	Lost        Kind = "lost"        // acknowledged and, where the fault demands it, synced; gone
	Stale       Kind = "stale"       // an older generation than the one owed
	Torn        Kind = "torn"        // parts of two generations
	Misdirected Kind = "misdirected" // right data, wrong place
	Corrupt     Kind = "corrupt"     // never written by anyone
	Resurrected Kind = "resurrected" // deleted, back again
	Unreadable  Kind = "unreadable"  // an error where data was promised
	Late        Kind = "late"        // slower than promised
	Disordered  Kind = "disordered"  // no order of the concurrent operations explains what was read
)

// Kinds are all kinds, in the order in which reports show them.
func Kinds() []Kind {
	return []Kind{Lost, Stale, Torn, Misdirected, Corrupt, Resurrected, Unreadable, Late, Disordered}
}
