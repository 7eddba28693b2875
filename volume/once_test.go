package volume_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/verdict"
)

// sometimes syncs every line in all rounds but the first and the third.
const sometimes = `[sh, -ec, "r=$(cat $0/r 2>/dev/null || echo 0); r=$((r+1)); echo $r > $0/r; sync -f $0; while :; do n=$(date +%s%N); echo $n > $0/$n; [ $r = 1 ] || [ $r = 3 ] || sync -f $0; echo $n; done", "{volume}"]`

// TestLossIsFoundOnce: what was lost in one round is no finding of a later one,
// and what is lost in a later one is, whatever the reader says of it.
func TestLossIsFoundOnce(t *testing.T) {
	needDisk(t, "ext4")
	for name, c := range map[string]struct {
		reader string
		found  int
	}{
		"it counts them":               {`l=0; while read n; do [ -s $0/$n ] || l=$((l+1)); done; [ $l = 0 ] || { echo lost: $l; exit 1; }`, 2},
		"it names them":                {`l=0; while read n; do [ -s $0/$n ] || { l=1; echo lost: $n; }; done; exit $l`, 2},
		"it says it whatever it gets":  {`ls $0 | grep -q broken && { echo corrupt: still; exit 1; }; while read n; do [ -s $0/$n ] || { >$0/broken; echo lost: $n; exit 1; }; done`, 1},
		"it crashes once it found one": {`ls $0 | grep -q broken && exit 2; while read n; do [ -s $0/$n ] || { >$0/broken; echo lost: $n; exit 1; }; done`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			out := l.run(on("device: soft, filesystem: ext4, size: 64M, mount: commit=1000") +
				fmt.Sprintf("  tests:\n    - exec: {command: %s}\n  faults: [power-cut: {every: {operations: 5}, times: 4, keep: none}]\n  checks:\n    - exec: {command: [sh, -c, %q, \"{volume}\"]}\n", sometimes, c.reader))
			l.wants(out, verdict.Fail, "")
			if len(out.Findings) != c.found || out.Rounds != 4 {
				t.Errorf("%d findings in %d rounds, want %d in 4: %v", len(out.Findings), out.Rounds, c.found, out.Findings)
			}
			for i, f := range out.Findings {
				if want := fmt.Sprintf("in round %d,", 2*i+1); !strings.Contains(f.Blame, want) || !strings.HasPrefix(f.Blame, "the application: it promised ") {
					t.Errorf("to blame: %q, want %q", f.Blame, want)
				}
			}
		})
	}
}
