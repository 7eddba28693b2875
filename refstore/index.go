package refstore

import (
	"slices"
	"sort"
)

// entry is a key of a bucket with its state.
type entry struct {
	name string
	key  Key
}

// index holds entries in the order of their names' bytes, in chunks of at most
// chunkMax. A lookup is two binary searches. An insertion moves at most a
// chunk, and the list of chunks once in chunkMax/2 insertions. The zero value
// is empty.
type index struct {
	chunks [][]*entry // none is empty
	firsts []string   // name of the first entry of each chunk: keeps the search out of the chunks
}

const (
	chunkMax = 512
	chunkMin = chunkMax / 4 // a chunk below this joins its neighbour if both fit
)

// cursor is a place in an index, good until the index changes.
type cursor struct{ chunk, at int }

// seek finds the first entry whose name satisfies reached, which must be false
// up to some name and true from there on.
func (x *index) seek(reached func(name string) bool) cursor {
	// The last chunk that begins before the place is the one that holds it.
	c := sort.Search(len(x.firsts), func(i int) bool { return reached(x.firsts[i]) }) - 1
	if c < 0 {
		return cursor{}
	}
	at := sort.Search(len(x.chunks[c]), func(i int) bool { return reached(x.chunks[c][i].name) })
	if at == len(x.chunks[c]) {
		return cursor{c + 1, 0}
	}
	return cursor{c, at}
}

// entry is what is at the cursor, nil at the end.
func (x *index) entry(c cursor) *entry {
	if c.chunk >= len(x.chunks) {
		return nil
	}
	return x.chunks[c.chunk][c.at]
}

// next is the cursor after c, which is not at the end.
func (x *index) next(c cursor) cursor {
	if c.at++; c.at == len(x.chunks[c.chunk]) {
		return cursor{c.chunk + 1, 0}
	}
	return c
}

// get is the entry of name, nil if there is none.
func (x *index) get(name string) *entry {
	if e := x.entry(x.seek(func(n string) bool { return n >= name })); e != nil && e.name == name {
		return e
	}
	return nil
}

// insert adds e, whose name is not in the index.
func (x *index) insert(e *entry) {
	if len(x.chunks) == 0 {
		x.chunks = append(x.chunks, append(make([]*entry, 0, chunkMax), e))
		x.firsts = append(x.firsts, e.name)
		return
	}
	c := max(sort.Search(len(x.firsts), func(i int) bool { return x.firsts[i] > e.name })-1, 0)
	at := sort.Search(len(x.chunks[c]), func(i int) bool { return x.chunks[c][i].name > e.name })
	if len(x.chunks[c]) == chunkMax {
		// Names that come in order leave full chunks behind, others half full ones.
		half := chunkMax / 2
		if c == len(x.chunks)-1 && at == chunkMax {
			half = chunkMax
		}
		x.split(c, half)
		if at > half || half == chunkMax {
			c, at = c+1, at-half
		}
	}
	x.chunks[c] = slices.Insert(x.chunks[c], at, e)
	x.firsts[c] = x.chunks[c][0].name
}

// split moves the entries of chunk c from half on into a new one after it. The
// new one may be empty: insert fills it at once.
func (x *index) split(c, half int) {
	more := append(make([]*entry, 0, chunkMax), x.chunks[c][half:]...)
	clear(x.chunks[c][half:])
	x.chunks[c] = x.chunks[c][:half]
	first := ""
	if len(more) > 0 {
		first = more[0].name
	}
	x.chunks = slices.Insert(x.chunks, c+1, more)
	x.firsts = slices.Insert(x.firsts, c+1, first)
}

// remove takes out the entry of name, which is in the index.
func (x *index) remove(name string) {
	at := x.seek(func(n string) bool { return n >= name })
	c := at.chunk
	x.chunks[c] = slices.Delete(x.chunks[c], at.at, at.at+1)
	switch {
	case len(x.chunks[c]) == 0:
		x.drop(c)
		return
	case len(x.chunks[c]) < chunkMin && c+1 < len(x.chunks) && len(x.chunks[c])+len(x.chunks[c+1]) <= chunkMax:
		x.chunks[c] = append(x.chunks[c], x.chunks[c+1]...)
		x.drop(c + 1)
	}
	x.firsts[c] = x.chunks[c][0].name
}

func (x *index) drop(c int) {
	x.chunks = slices.Delete(x.chunks, c, c+1)
	x.firsts = slices.Delete(x.firsts, c, c+1)
}

// all calls f with every entry, in order.
func (x *index) all(f func(*entry)) {
	for _, chunk := range x.chunks {
		for _, e := range chunk {
			f(e)
		}
	}
}
