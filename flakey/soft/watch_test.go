package soft

import (
	"strings"
	"testing"
)

// TestWatch: each script is a run of b (a sign of life), a (one with one more
// answered), h (one with requests held) and w or i (a look, with requests
// waiting or idle).
func TestWatch(t *testing.T) {
	times := func(n int, s string) string { return strings.Repeat(s, n) }
	for script, stuck := range map[string]bool{
		times(100, "i"):     false,
		times(looks, "w"):   false,
		times(looks+1, "w"): true,
		times(looks, "w") + "i" + times(looks, "w"): false,
		times(looks, "w") + "a" + times(looks, "w"): false,
		times(100, "aw"):                        false,
		times(100, "aaaw"):                      false,
		times(looks, "bw"):                      false,
		times(looks+1, "bw"):                    true,
		times(100, "hw"):                        false,
		"h" + times(100, "w"):                   false,
		times(100, "hw") + times(looks, "bw"):   false,
		times(100, "hw") + times(looks+1, "bw"): true,
	} {
		var w watch
		var b beat
		got := false
		for _, step := range script {
			switch step {
			case 'b':
				b.Held = false
				w.beat(b)
			case 'a':
				b.Answered++
				w.beat(b)
			case 'h':
				b.Held = true
				w.beat(b)
			case 'w':
				got = w.look(1)
			case 'i':
				got = w.look(0)
			}
		}
		if got != stuck {
			t.Errorf("%s: stuck %v", script, got)
		}
	}
}
