package machine

import "testing"

func TestOwnMountsLetsGoOfOthers(t *testing.T) {
	keep := []string{"/run/assay-1-data", "/usr/bin/", "/snap/tool/bin/tool"}
	for _, c := range []struct {
		source, dir string
		want        bool
	}{
		{"/dev/loop3", "/run/assay-2-data", true},
		{"/dev/loop4", "/tmp/a test/1", true},
		{"/dev/loop3", "/run/assay-1-data", false},
		{"/dev/loop5", "/run/assay-1", true},
		{"/dev/loop6", "/snap/tool", false},
		{"/dev/loop7", "/", false},
		{"/dev/vda", "/home", false},
		{"tmpfs", "/run", false},
	} {
		if got := held(MountInfo{Source: c.source, Dir: c.dir}, keep); got != c.want {
			t.Errorf("%s on %s: let go of it: %v, want %v", c.source, c.dir, got, c.want)
		}
	}
}
