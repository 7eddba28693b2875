package worker

import (
	"os"
	"syscall"
	"testing"
)

// TestMappedWritesOnAFullFileSystem: a hole that gets no page is a signal to
// who writes there. Here it is the errno that a write would have had, and the
// child lives.
func TestMappedWritesOnAFullFileSystem(t *testing.T) {
	for fs, fill := range map[string]func(*lab){
		"tmpfs": func(l *lab) { l.tmpfs("256k") },
		"ext4":  func(l *lab) { l.ext4(4 << 20) },
	} {
		t.Run(fs, func(t *testing.T) {
			l := emptyLab(t)
			fill(l)
			l.start()
			const size, block = 16 << 20, 16 << 10
			f := l.open("a", Create|Write)
			l.wants("truncate", 0, func(hear func(Answer)) error { return f.Truncate(l.ctx, size, hear) })
			all := l.written(f.WriteMapped, tag(1, 1), 0, size, block)
			failed := 0
			for failed < len(all) && all[failed].Errno == 0 {
				failed++
			}
			if len(all) != size/block || failed == 0 || failed == len(all) || all[failed].Errno != syscall.ENOSPC || all[len(all)-1].Errno != syscall.ECANCELED {
				t.Fatalf("%d answers, block %d is the first that failed, with %v", len(all), failed, all[min(failed, len(all)-1)])
			}
			if r, errno, err := l.w.Read(l.ctx, "a", tag(1, 1)); err != nil || errno != 0 || r.Spans[0] != exact(tag(1, 1), 0, r.Spans[0].To) || r.Spans[0].To < int64(failed)*block {
				t.Errorf("%d blocks were written: %v, %v, %v", failed, r.Spans, errno, err)
			}
			l.wants("truncate", 0, func(hear func(Answer)) error { return f.Truncate(l.ctx, 0, hear) })
			l.wants("truncate", 0, func(hear func(Answer)) error { return f.Truncate(l.ctx, block, hear) })
			l.allDone(l.written(f.WriteMapped, tag(1, 2), 0, block, block), 0, block, block)
			l.reads("a", tag(1, 2), block, exact(tag(1, 2), 0, block))
		})
	}
}

// TestMappedBeyondTheEnd: a mapping does not extend a file, and a file that has
// become shorter under it is an error of that write alone.
func TestMappedBeyondTheEnd(t *testing.T) {
	l := newLab(t)
	f := l.open("a", Create|Write)
	if all := l.written(f.WriteMapped, tag(1, 1), 0, 100, 100); len(all) != 1 || all[0].Errno != syscall.ENXIO {
		t.Errorf("beyond the end: %+v", all)
	}
	l.wants("truncate", 0, func(hear func(Answer)) error { return f.Truncate(l.ctx, 100_000, hear) })
	l.allDone(l.written(f.WriteMapped, tag(1, 1), 0, 100_000, 4096), 0, 100_000, 4096)
	if err := os.Truncate(l.path("a"), 5000); err != nil {
		t.Fatal(err)
	}
	if all := l.written(f.WriteMapped, tag(1, 2), 90_000, 90_010, 10); len(all) != 1 || all[0].Errno != syscall.EIO {
		t.Errorf("where the file was cut off: %+v", all)
	}
	l.wants("msync", 0, func(hear func(Answer)) error { return f.Msync(l.ctx, hear) })
	l.reads("a", tag(1, 1), 5000, exact(tag(1, 1), 0, 5000))
	l.close(f)
}
