package volume_test

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/verdict"
)

// TestFullDisk: that there is no space left is an answer, and no finding.
func TestFullDisk(t *testing.T) {
	needDisk(t, "ext4")
	for _, sync := range []string{"fsync", "msync"} {
		t.Run(sync, func(t *testing.T) {
			l := newLab(t)
			out, records := l.kept(onDisk("ext4", "16M") + files("{count: 64, size: 1M}", "write-files: {sync: "+sync+"}, rewrite-files", "power-cut: {after: {operations: 900}}"))
			l.wants(out, verdict.Pass, "")
			full := false
			for _, r := range records {
				full = full || r.Phase == history.Refused && string(r.Detail) == syscall.ENOSPC.Error()
			}
			if !full {
				t.Error("the disk was never full")
			}
		})
	}
}

// TestOddNames: every byte that a name may have, in names as long as one may be.
func TestOddNames(t *testing.T) {
	for i, fs := range []string{"ext4", "xfs", "btrfs"} {
		if i > 0 && !full() {
			break // the cuts have such names there too
		}
		t.Run(fs, func(t *testing.T) {
			needDisk(t, fs)
			l := newLab(t)
			out, records := l.kept(onDisk(fs, sizeOf(fs)) + files("{count: 256, size: 100B, names: odd}", "write-files, rename-files, delete-files", "power-cut: {every: {operations: 1500}, times: 2}"))
			l.wants(out, verdict.Pass, "")
			var had [256]bool
			for _, r := range records {
				if r.Phase != history.Issued || r.Verb != "create" {
					continue
				}
				if len(r.Object) != 255 {
					t.Fatalf("a name of %d bytes: %q", len(r.Object), r.Object)
				}
				for _, b := range []byte(r.Object) {
					had[b] = true
				}
			}
			for b, had := range had {
				if may := b != 0 && b != '/'; had != may {
					t.Errorf("byte %#x: in a name %v, want %v", b, had, may)
				}
			}
		})
	}
}

// TestManyFiles: a volume of many files is walked, read and gone on with.
func TestManyFiles(t *testing.T) {
	needDisk(t, "xfs")
	l, n := newLab(t), count(1000, 100_000)
	out := l.passes(onDisk("xfs", "2G") + files(fmt.Sprintf("{count: %d, size: 30B}", n), "write-files: {sync: none}", fmt.Sprintf("kill: {every: {operations: %d}, times: 2}", 2*n)))
	if out.Rounds != 2 {
		t.Errorf("%d rounds", out.Rounds)
	}
}

// TestHugeSparseFile: of 100 GiB only what was written costs anything.
func TestHugeSparseFile(t *testing.T) {
	needDisk(t, "xfs")
	l := newLab(t)
	l.passes(on("device: soft, filesystem: xfs, size: 200G, memory: 1G, record: false") +
		files("{count: 1, size: 100G}", "rewrite-files: {sparse: true, writes: 40, block: 1M}", "power-cut: {every: {operations: 60}, times: 2}"))
}
