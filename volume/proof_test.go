package volume

import (
	"strings"
	"testing"
)

// TestProbesThatProveNothing: only a probe that was answered says that a volume
// is not late. One that is refused, or has no answer yet, does not.
func TestProbesThatProveNothing(t *testing.T) {
	all := make([]probe, 3)
	for _, c := range []struct {
		p    probes
		want string // "": it proves something
	}{
		{probes{}, "there was no probe"},
		{probes{all: all}, "no probe has ended"},
		{probes{all: all, refused: "EIO"}, "every probe that ended was refused: EIO"},
		{probes{all: all, refused: "EIO", answered: 1}, ""},
		{probes{all: all, answered: 3}, ""},
		{probes{all: all, cut: true}, ""},
		{probes{cut: true}, ""},
	} {
		if err := c.p.proof(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.p, err, c.want)
		}
	}
}
