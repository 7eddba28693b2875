package refstore

import "github.com/seed-1b600011/assay/seed"

// Kind is what a lie does.
type Kind string

// The kinds of lie.
const (
	Lose        Kind = "lose"         // a put is acknowledged; the key is absent
	Stale       Kind = "stale"        // a put over another content is acknowledged; the old version stays
	Swap        Kind = "swap"         // a put is acknowledged; its body and that of the key put before it are exchanged, ETags are not
	Flip        Kind = "flip"         // a put is acknowledged; one bit of its body is wrong, its ETag is right
	WrongETag   Kind = "etag"         // a put is acknowledged; its body is right, its ETag is wrong
	Resurrect   Kind = "resurrect"    // a delete of an existing key is acknowledged; the key stays
	ListHides   Kind = "list-hides"   // a put of a key that was not listed is done; the list never learns of it
	ListInvents Kind = "list-invents" // a delete of a listed key is done; the list goes on showing it
)

// Kinds is all kinds of lie.
func Kinds() []Kind {
	return []Kind{Lose, Stale, Swap, Flip, WrongETag, Resurrect, ListHides, ListInvents}
}

// bend is what a kind of lie does to a request.
type bend struct {
	verb  Verb
	could func(*touch) bool                     // the request would leave something wrong behind
	do    func(t *touch, s seed.Seed, n uint64) // n is the number of the request among those that it could touch
}

// bends gives the bend of a kind. Each could is exact: a request of which it
// is true does leave damage, so that a touched count is never too high.
func bends(kind Kind) (bend, bool) {
	switch kind {
	case Lose:
		return bend{Put, always, lose}, true
	case Stale:
		return bend{Put, couldStale, stale}, true
	case Swap:
		return bend{Put, couldSwap, swap}, true
	case Flip:
		return bend{Put, func(t *touch) bool { return t.after.Version.Size > 0 }, flip}, true
	case WrongETag:
		return bend{Put, always, wrongETag}, true
	case Resurrect:
		return bend{Delete, func(t *touch) bool { return t.before.Present }, resurrect}, true
	case ListHides:
		return bend{Put, func(t *touch) bool { return !t.before.Listed() }, listHides}, true
	case ListInvents:
		return bend{Delete, func(t *touch) bool { return t.before.Present && t.before.Listed() }, listInvents}, true
	default:
		return bend{}, false
	}
}

func always(*touch) bool { return true }

func lose(t *touch, _ seed.Seed, _ uint64) { t.after = Key{} }

// couldStale wants another content before, else the old version is the new
// one as far as anybody can see. A version that another lie has damaged is not
// kept: it would not show as an old one.
func couldStale(t *touch) bool {
	return t.before.Present && (t.before.damage == "" || t.before.damage == Stale) &&
		differ(t.before.Version, t.after.Version)
}

func stale(t *touch, _ seed.Seed, _ uint64) {
	t.after = t.before
	t.after.damage = Stale
}

// couldSwap wants a second key whose state is true, else a swap could put
// right what an earlier one put wrong.
func couldSwap(t *touch) bool {
	if t.previous == "" || t.previous == t.name {
		return false
	}
	other := t.bucket.state(t.previous)
	return other.Present && other.damage == "" && differ(other.Version, t.after.Version)
}

// swap exchanges the bodies and their sizes. All else stays where it was, as
// when a store's metadata point at each other's data.
func swap(t *touch, _ seed.Seed, _ uint64) {
	other := t.bucket.state(t.previous)
	a, b := &t.after.Version, &other.Version
	a.Body, b.Body = b.Body, a.Body
	a.Size, b.Size = b.Size, a.Size
	t.after.damage, other.damage = Swap, Swap
	// The key being put must take its hold of the other's body before the
	// other lets go of it.
	t.bucket.set(t.name, t.after)
	t.bucket.set(t.previous, other)
}

func flip(t *touch, s seed.Seed, n uint64) {
	t.after.Version.flip = 1 + s.For("bit").Below(n, 8*uint64(t.after.Version.Size))
	t.after.damage = Flip
}

// wrongETag changes one digit.
func wrongETag(t *touch, s seed.Seed, n uint64) {
	etag := []byte(t.after.Version.ETag)
	if len(etag) == 0 {
		etag = []byte{'0'}
	}
	i := s.For("digit").Below(n, uint64(len(etag)))
	if etag[i] == 'f' {
		etag[i] = '0'
	} else {
		etag[i] = 'f'
	}
	t.after.Version.ETag = string(etag)
	t.after.damage = WrongETag
}

func resurrect(t *touch, _ seed.Seed, _ uint64) {
	t.after = t.before
	t.after.damage = Resurrect
}

func listHides(t *touch, _ seed.Seed, _ uint64) {
	t.after.Unlisted = true
	t.after.damage = ListHides
}

func listInvents(t *touch, _ seed.Seed, _ uint64) {
	t.after = Key{Ghost: true, Version: t.before.Version, damage: ListInvents}
	t.after.Version.Body = nil
}

// differ tells whether two versions have different bodies. Where a model has
// no bodies, their ETags tell.
func differ(a, b Version) bool {
	if a.Body != nil && b.Body != nil {
		return a.Size != b.Size || a.Body.sum != b.Body.sum
	}
	return a.ETag != b.ETag
}
