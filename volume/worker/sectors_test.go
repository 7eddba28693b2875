package worker

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"

	"github.com/seed-1b600011/assay/content"
	"golang.org/x/sys/unix"
)

// TestSectors asks where files lie, and reads what is there from the device:
// it is what the files hold. The tool filefrag of e2fsprogs says the same.
func TestSectors(t *testing.T) {
	l := emptyLab(t)
	device := l.ext4(64 << 20)
	l.start()
	is := tag(1, 1)
	whole, sparse := l.open("whole", Create|Write), l.open("sparse", Create|Write)
	l.write(whole, is, 0, 3<<20, 1<<20)
	// More pieces than are asked for at once, which all must be told.
	const pieces = 3 * fiemapExtents
	for i := range int64(pieces) {
		l.write(sparse, is, i*16<<10, i*16<<10+4096, 4096)
	}
	l.close(l.open("empty", Create|Write))
	sectors := func(name string) []Run {
		t.Helper()
		all, errno, err := l.w.Sectors(l.ctx, name)
		if err != nil || errno != 0 {
			t.Fatal(errno, err)
		}
		return all
	}
	runs := map[string][]Run{"whole": sectors("whole"), "sparse": sectors("sparse")}
	if n := total(runs["whole"]); n != 3<<20/sectorSize {
		t.Errorf("a file of 3 MiB has %d sectors: %v", n, runs["whole"])
	}
	if n := total(runs["sparse"]); n != pieces*4096/sectorSize {
		t.Errorf("%d pieces of 4 KiB have %d sectors", pieces, n)
	}
	if n := sectors("empty"); len(n) != 0 {
		t.Errorf("an empty file lies at %v", n)
	}
	if _, errno, err := l.w.Sectors(l.ctx, "none"); errno != syscall.ENOENT || err != nil {
		t.Error(errno, err)
	}
	for name, all := range runs {
		if want, ok := filefrag(t, l.path(name)); ok && fmt.Sprint(merged(all)) != fmt.Sprint(want) {
			t.Errorf("%s: %v, and filefrag says %v", name, merged(all), want)
		}
	}
	l.onDevice(device, runs["whole"], is)
	for i := range runs["sparse"] {
		l.onDeviceAt(device, runs["sparse"][i], is)
	}
}

func total(runs []Run) (n uint64) {
	for _, r := range runs {
		n += r.To - r.From
	}
	return n
}

func merged(runs []Run) (all []Run) {
	for _, r := range runs {
		if n := len(all); n > 0 && all[n-1].To == r.From {
			all[n-1].To = r.To
			continue
		}
		all = append(all, r)
	}
	return all
}

// filefrag is where the tool says that the file lies: in blocks of a sector.
func filefrag(t *testing.T, path string) (all []Run, ok bool) {
	t.Helper()
	out, err := exec.Command("filefrag", "-b512", "-v", path).Output()
	if err != nil {
		t.Logf("filefrag is not asked: %v", err)
		return nil, false
	}
	for _, m := range regexp.MustCompile(`(?m)^ +\d+: +\d+\.\. +\d+: +(\d+)\.\. +(\d+):`).FindAllStringSubmatch(string(out), -1) {
		from, _ := strconv.ParseUint(m[1], 10, 64)
		to, _ := strconv.ParseUint(m[2], 10, 64)
		all = append(all, Run{from, to + 1})
	}
	if len(all) == 0 {
		t.Fatalf("filefrag says %s", out)
	}
	return merged(all), true
}

// onDevice wants the file from its beginning on at the runs of the device.
func (l *lab) onDevice(device string, runs []Run, is content.Tag) {
	l.Helper()
	at := int64(0)
	for _, r := range runs {
		b := l.raw(device, r)
		if got := content.Classify(nil, b, at, is); len(got) != 1 || got[0].Class != content.Exact {
			l.Errorf("sectors %d to %d hold %v", r.From, r.To, got)
		}
		at += int64(len(b))
	}
}

// onDeviceAt wants something of the file there, wherever in it that is.
func (l *lab) onDeviceAt(device string, r Run, is content.Tag) {
	l.Helper()
	for _, s := range content.Classify(nil, l.raw(device, r), 0, is) {
		if s.Is != is || s.Class == content.Corrupt || s.IsOff%4096 != s.From%4096 {
			l.Errorf("sectors %d to %d hold %v", r.From, r.To, s)
		}
	}
}

// raw reads sectors of a device around the page cache.
func (l *lab) raw(device string, r Run) []byte {
	l.Helper()
	f, err := os.OpenFile(device, os.O_RDONLY|unix.O_DIRECT, 0)
	if err != nil {
		l.Fatal(err)
	}
	defer f.Close()
	var free buffers
	n := int(r.To-r.From) * sectorSize
	b := free.get(n)
	if _, err := f.ReadAt(b[:n], int64(r.From)*sectorSize); err != nil {
		l.Fatal(err)
	}
	return b[:n]
}

// TestSectorsOfWhatHasNone: file systems in memory know no sectors, and say so.
func TestSectorsOfWhatHasNone(t *testing.T) {
	l := emptyLab(t)
	l.tmpfs("1m")
	l.start()
	f := l.open("a", Create|Write)
	l.write(f, tag(1, 1), 0, 4096, 4096)
	all, errno, err := l.w.Sectors(l.ctx, "a")
	if len(all) > 0 || errno != syscall.EOPNOTSUPP || err != nil {
		t.Errorf("%v, %v, %v", all, errno, err)
	}
}

// TestPlacesOfAFewBytes: data that ext4 keeps within its metadata have no
// sectors of their own; space that is allocated has, and is not written yet.
func TestPlacesOfAFewBytes(t *testing.T) {
	l := emptyLab(t)
	l.ext4(16<<20, "-O", "inline_data")
	l.start()
	small, allocated := l.open("small", Create|Write), l.open("allocated", Create|Write)
	l.write(small, tag(1, 1), 0, 50, 50)
	l.wants("fsync", 0, func(hear func(Answer)) error { return small.Fsync(l.ctx, hear) })
	l.wants("allocate", 0, func(hear func(Answer)) error { return allocated.Allocate(l.ctx, 0, 8192, hear) })
	for name, want := range map[string]uint64{"small": 0, "allocated": 16} {
		all, errno, err := l.w.Sectors(l.ctx, name)
		if err != nil || errno != 0 || total(all) != want || want == 0 && len(all) > 0 {
			t.Errorf("%s: %v, %v, %v, want %d sectors", name, all, errno, err, want)
		}
	}
}
