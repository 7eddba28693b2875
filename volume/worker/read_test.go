package worker

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-1b600011/assay/content"
)

// readBytes is how many bytes the child has asked the kernel to read.
func (l *lab) readBytes() int64 {
	l.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", l.w.child.PID()))
	if err != nil {
		l.Skipf("what a process reads is not to be had: %v", err)
	}
	word, _, _ := strings.Cut(strings.TrimPrefix(string(b), "rchar: "), "\n")
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		l.Fatal(err)
	}
	return n
}

// TestHolesAreSkipped reads a file of 100 GiB with little in it.
func TestHolesAreSkipped(t *testing.T) {
	l := emptyLab(t)
	l.ext4(64 << 20)
	l.start()
	const size = 100 << 30
	f := l.open("a", Create|Write)
	l.wants("truncate", 0, func(hear func(Answer)) error { return f.Truncate(l.ctx, size, hear) })
	is := tag(1, 1)
	var want []content.Span
	at := int64(0)
	// Small holes are read as what they are; large ones are passed over, at the
	// beginning, between data and at the end.
	for _, p := range []struct{ from, to int64 }{{40 << 30, 40<<30 + 10_000}, {40<<30 + 100_000, 40<<30 + 120_000}, {70<<30 + 7, 70<<30 + 2<<20}} {
		l.write(f, is, p.from, p.to, 64<<10)
		want = append(want, zero(at, p.from), exact(is, p.from, p.to))
		at = p.to
	}
	l.wants("fsync", 0, func(hear func(Answer)) error { return f.Fsync(l.ctx, hear) })
	before := l.readBytes()
	l.reads("a", is, size, append(want, zero(at, size))...)
	if n := l.readBytes() - before; n > 16<<20 {
		t.Errorf("%d bytes were read for a file with 2 MiB in it", n)
	}
}

// TestHolesInMemory: what was written and not synced is no hole, though it has
// no place on the disk yet.
func TestHolesInMemory(t *testing.T) {
	l := emptyLab(t)
	l.ext4(64 << 20)
	l.start()
	f := l.open("a", Create|Write)
	l.wants("truncate", 0, func(hear func(Answer)) error { return f.Truncate(l.ctx, 40<<20, hear) })
	l.wants("allocate", 0, func(hear func(Answer)) error { return f.Allocate(l.ctx, 0, 30<<20, hear) })
	l.write(f, tag(1, 1), 20<<20, 20<<20+4096, 4096)
	l.reads("a", tag(1, 1), 40<<20, zero(0, 20<<20), exact(tag(1, 1), 20<<20, 20<<20+4096), zero(20<<20+4096, 40<<20))
}

// TestAFileInManyPieces: generations that alternate from sector to sector are
// all told, and so many that they are not end where that can be seen.
func TestAFileInManyPieces(t *testing.T) {
	l := newLab(t)
	sectors := int64(20_480)
	if os.Getenv("ASSAY_FULL") != "" {
		sectors = spansMax + 2048
	}
	file, err := os.Create(l.path("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b := make([]byte, 1<<20)
	for at := int64(0); at < sectors*content.SectorSize; at += int64(len(b)) {
		content.Fill(b, tag(1, 1), at)
		for s := int64(0); s < int64(len(b)); s += 2 * content.SectorSize {
			content.Fill(b[s:s+content.SectorSize], tag(1, 2), at+s)
		}
		if _, err := file.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []int64{sectors, 10_000} {
		if err := file.Truncate(size * content.SectorSize); err != nil {
			t.Fatal(err)
		}
		r, errno, err := l.w.Read(l.ctx, "a", tag(1, 2), tag(1, 1))
		if err != nil || errno != 0 {
			t.Fatal(errno, err)
		}
		if want := min(size, spansMax); int64(len(r.Spans)) != want {
			t.Fatalf("%d sectors of two generations in turn are %d spans, want %d", size, len(r.Spans), want)
		}
		for i, s := range r.Spans {
			at := int64(i) * content.SectorSize
			class, is := content.Exact, tag(1, 2)
			if i%2 == 1 {
				class, is = content.Older, tag(1, 1)
			}
			if s != (content.Span{From: at, To: at + content.SectorSize, Class: class, Is: is, IsOff: at}) {
				t.Fatalf("span %d is %v", i, s)
			}
		}
	}
}

// TestDamageIsNamed damages a file behind the child's back.
func TestDamageIsNamed(t *testing.T) {
	l := newLab(t)
	f, size := l.open("a", Create|Write), int64(3<<20)
	l.write(f, tag(1, 1), 0, size, 1<<20)
	b, err := os.ReadFile(l.path("a"))
	if err != nil {
		t.Fatal(err)
	}
	b[1_000_000] ^= 4
	clear(b[1<<20+512 : 1<<20+1024])
	content.Fill(b[2<<20:2<<20+4096], tag(5, 9), 8192)
	if err := os.WriteFile(l.path("a"), b, 0o644); err != nil {
		t.Fatal(err)
	}
	r, errno, err := l.w.Read(l.ctx, "a", tag(1, 1))
	if err != nil || errno != 0 {
		t.Fatal(errno, err)
	}
	var got []content.Span
	for _, s := range r.Spans {
		if s.Class != content.Exact {
			got = append(got, s)
		}
	}
	sector := int64(1_000_000 / content.SectorSize * content.SectorSize)
	want := []content.Span{
		{From: sector, To: sector + content.SectorSize, Class: content.Corrupt, Is: tag(1, 1), IsOff: sector, BitsWrong: 1, FirstWrong: 8_000_002},
		zero(1<<20+512, 1<<20+1024),
		{From: 2 << 20, To: 2<<20 + 4096, Class: content.Misdirected, Is: tag(5, 9), IsOff: 8192},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestReadOfWhatIsNoFile never waits for a FIFO.
func TestReadOfWhatIsNoFile(t *testing.T) {
	l := newLab(t)
	if err := syscall.Mkfifo(l.path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fifo", "", "."} {
		if _, errno, err := l.w.Read(l.ctx, name, tag(1, 1)); errno != syscall.EINVAL || err != nil {
			t.Errorf("%q: %v, %v", name, errno, err)
		}
	}
}

// TestReadAroundTheCache: what is read by O_DIRECT is the same, whatever the
// size, and is the disk's: also what the page cache has otherwise.
func TestReadAroundTheCache(t *testing.T) {
	l := emptyLab(t)
	l.ext4(64 << 20)
	l.start()
	for i, size := range []int64{0, 1, 511, 4095, 4096, 4097, 1 << 20, 1<<20 + 5, 3<<20 - 1, 5 << 20} {
		name := fmt.Sprint(size)
		f := l.open(name, Create|Write)
		l.write(f, tag(uint64(i), 1), 0, size, 64<<10)
		l.close(f)
		for _, parts := range [][]Part{
			{{content.MaxSize, []content.Tag{tag(uint64(i), 1)}}},
			{{1000, []content.Tag{tag(uint64(i), 1)}}, {5001, []content.Tag{tag(uint64(i), 1)}}, {content.MaxSize, []content.Tag{tag(uint64(i), 1)}}},
		} {
			want, errno, err := l.w.ReadParts(l.ctx, name, 0, parts)
			if err != nil || errno != 0 {
				t.Fatal(errno, err)
			}
			got, errno, err := l.w.ReadParts(l.ctx, name, Direct, parts)
			if err != nil || errno != 0 || got.Size != want.Size || fmt.Sprint(joined(got.Spans)) != fmt.Sprint(joined(want.Spans)) {
				t.Errorf("%d bytes: %v %v\n%v\n%v", size, errno, err, got.Spans, want.Spans)
			}
		}
	}
}
