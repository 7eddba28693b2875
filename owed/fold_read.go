package owed

// readFile judges what a get of a file saw. It does so only where nothing that
// changes the file was under way since the get was issued: what the file may
// hold is then what a check would let it hold. A file that changes while it is
// read may show any mixture of before and after, and proves nothing.
func (b *Book) readFile(p *pending, path string, seen Seen) {
	f := p.file
	if f == nil || f.dir || !f.quiet(p.issued) {
		return
	}
	b.deviations = append(b.deviations, File{book: b, target: p.target, file: f, path: path}.Judge(seen)...)
}

// quiet tells whether no operation on the file's data was under way at the
// position or since. The youngest on a range is never pruned, so it shows.
func (f *file) quiet(since int64) bool {
	for _, w := range f.size.ops {
		if w.issued > since || w.ended > since {
			return false
		}
	}
	for x := range f.data.touching(0, forever) {
		for _, w := range x.ops {
			if w.issued > since || w.ended > since {
				return false
			}
		}
	}
	return true
}
