package volume_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/verdict"
)

// mixes are what is done to files while the power is cut, each a part of the
// cuts: everything that a test can do, in an order in which each comes first
// once, as a cut comes soon.
var mixes = []string{
	"write-files, read-files, append-files: {writes: 2}, read-files, rename-files, read-files, delete-files, rewrite-files",
	"write-files: {sync: fdatasync, replace: rename, order: random, queue-depth: 4, block: 16K}, rename-files: {hard-links: true}, rewrite-files: {sync: O_DSYNC, direct: true, block: 4K, writes: 8}",
	"append-files: {sync: O_SYNC, writes: 3, block: 5000}, write-files: {sync: O_DSYNC, order: reverse, block: 20000}, delete-files: {sync: syncfs}",
	"write-files: {sync: msync}, append-files: {sync: msync, writes: 2, block: 30000}, rewrite-files: {sync: msync, writes: 5, block: 8K}, read-files, rename-files",
	"rewrite-files: {direct: true, queue-depth: 8, order: random, block: 12K, punch: 2}, write-files: {preallocate: true, replace: unlink, direct: true}, rename-files: {hard-links: true}, rename-files, delete-files",
	"write-files: {sparse: true, replace: unlink}, rewrite-files: {sync: syncfs, writes: 3, punch: 1, sync-every: 2}, append-files: {sync: fdatasync, preallocate: true}",
	"write-files: {sync: none}, rewrite-files: {sync: none, order: random}, append-files: {sync: none}, read-files, rename-files: {sync: none}, delete-files: {sync: none}",
	"write-files: {sync-directory: false, replace: rename, sync-every: 3, order: random}, rename-files: {sync-directory: false}, delete-files: {sync-directory: false}, append-files: {sync: fdatasync, direct: true, sync-every: 1}",
	"rename-files: {hard-links: true}, delete-files, write-files: {sync: syncfs, queue-depth: 16, block: 4K}, rename-files: {sync: syncfs}, delete-files: {sync: none}",
	"rewrite-files: {sync: O_SYNC, queue-depth: 4, block: 3000, writes: 7}, read-files, write-files: {sync: msync, sparse: true, replace: rename}, rewrite-files: {sync: msync, queue-depth: 4}, append-files: {sync: none, direct: true}",
	renamedAnew,
}

// renamedAnew is what a defect of btrfs comes by most: see TestNamesThatComeBack.
const renamedAnew = "write-files: {replace: rename}, rename-files: {hard-links: true}, write-files: {replace: unlink, sync-directory: false}"

// TestHonestCuts cuts the power under everything that can be done to files, on
// a disk that keeps its word: a file system that works keeps all that was
// promised, so nothing may be found. Where btrfs does not work (both defects have
// their proof in examples/btrfs-names), the names that come back, as in
// TestNamesThatComeBack, are told and left out, and one file is done after the
// other, so that no two syncs of a directory are on at once. Nothing else is let pass.
func TestHonestCuts(t *testing.T) {
	for third, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			needDisk(t, fs)
			began, sum, operations := time.Now(), 0, int64(0)
			cuts := count(33, 506) / len(mixes)
			defect := fs == "btrfs" && namesComeBack(t)
			early := fs == "btrfs" && syncsReturnEarly(t)
			for i, tests := range mixes {
				if !full() && i%3 != third {
					continue // each mix on one of them
				}
				t.Run(fmt.Sprint("mix ", i+1), func(t *testing.T) {
					l := newLab(t)
					l.drawn = fs != "btrfs" // whose defects come by what is committed meanwhile
					keep, names := []string{"random", "none", "prefix", "all"}[i%4], []string{"plain", "odd"}[i%2]
					text := files("{count: {min: 3, max: 12}, size: {min: 0B, max: 200K}, prefix: a/b, names: "+names+"}", tests,
						fmt.Sprintf("power-cut: {every: {min: 5ms, max: 100ms}, times: %d, keep: %s}", cuts, keep))
					if early {
						text = strings.Replace(text, "concurrency: 4", "concurrency: 1", 1)
					}
					out := l.settled(onDisk(fs, sizeOf(fs)) + text)
					if n := namesBack(out); !defect || n < len(out.Findings) || out.Verdict != verdict.Fail {
						l.wants(out, verdict.Pass, "")
					} else {
						t.Logf("%d names came back, and nothing else was wrong: %s, keep: %s", n, tests, keep)
					}
					if out.Rounds != cuts {
						t.Errorf("%d rounds, want %d: %s, keep: %s", out.Rounds, cuts, tests, keep)
					}
					sum += out.Rounds
					operations += out.Tick.Acknowledged
				})
			}
			t.Logf("%d cuts under %d operations in %v", sum, operations, time.Since(began).Round(time.Second))
		})
	}
}

// TestMixesNameEverything: no option, and no way to sync, is left out above.
func TestMixesNameEverything(t *testing.T) {
	all := strings.Join(mixes, "\n")
	for _, word := range []string{"write-files", "rewrite-files", "append-files", "rename-files", "delete-files", "read-files",
		"sync: none", "sync: fdatasync", "sync: O_DSYNC", "sync: O_SYNC", "sync: syncfs", "sync: msync", "sync-every", "sync-directory: false",
		"direct: true", "queue-depth", "order: random", "order: reverse", "preallocate", "sparse", "punch", "replace: unlink", "replace: rename", "hard-links"} {
		if !strings.Contains(all, word) {
			t.Errorf("nothing is done with %s", word)
		}
	}
}
