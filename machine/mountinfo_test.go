package machine

import (
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMountInfo(t *testing.T) {
	got, err := parseMountInfo([]byte(`36 35 98:0 /mnt1 /mnt\0402\012\134x rw,noatime master:1 propagate_from:2 - ext3 /dev/root\011x rw,errors=continue
29 1 0:5 / / rw - tmpfs  rw
`))
	want := []MountInfo{
		{36, 35, "98:0", "/mnt1", "/mnt 2\n\\x", "rw,noatime", "ext3", "/dev/root\tx", "rw,errors=continue"},
		{29, 1, "0:5", "/", "/", "rw", "tmpfs", "", "rw"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"x", "1 2 3:4 / / rw ext4 /dev/x rw", "x 2 3:4 / / rw - ext4 /dev/x rw", "1 x 3:4 / / rw - ext4 /dev/x rw", "1 2 3:4 / / rw - ext4 /dev/x"} {
		if _, err := parseMountInfo([]byte(bad)); err == nil {
			t.Errorf("%q was understood", bad)
		}
	}
}

func TestMountsOfThisMachine(t *testing.T) {
	all, err := Mounts()
	if err != nil || len(all) == 0 {
		t.Fatalf("%v, %v", all, err)
	}
	if on, err := MountedAt("/proc"); err != nil || len(on) == 0 || on[len(on)-1].Type != "proc" {
		t.Errorf("/proc: %v, %v", on, err)
	}
	_, err = MountsOf("/dev/assay-none")
	wantError(t, err, unix.ENOENT, "assay-none")
}

func FuzzParseMountInfo(f *testing.F) {
	if b, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		f.Add(b)
	}
	f.Add([]byte(`1 2 3:4 /\0 /\04 rw - t s\999 o`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseMountInfo(b)
		if err == nil && len(all) > strings.Count(string(b), "\n")+1 {
			t.Errorf("%d mounts", len(all))
		}
	})
}

// Whatever the kernel escapes comes back.
func FuzzUnescapeMount(f *testing.F) {
	for _, name := range names {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, s string) {
		mangled := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`).Replace(s)
		if got := unescapeMount(mangled); got != s {
			t.Errorf("%q became %q and %q", s, mangled, got)
		}
	})
}

func FuzzMountName(f *testing.F) {
	for i, name := range names {
		f.Add(name, uint64(i)<<60)
	}
	f.Fuzz(func(t *testing.T, dir string, id uint64) {
		const boot = "5f1c0b0e-8c1e-4c7e-9a0e-000000000000"
		d, b, i, err := parseMountName(mountName(dir, boot, id))
		if d != dir || b != boot || i != id || err != nil {
			t.Errorf("%q %d became %q %q %d, %v", dir, id, d, b, i, err)
		}
	})
}

func TestMountOptions(t *testing.T) {
	for list, want := range map[string]mountOptions{
		"":                     {},
		"defaults":             {},
		"commit=1000,noatime":  {unix.MOUNT_ATTR_NOATIME, nil, [][2]string{{"commit", "1000"}}},
		"noatime,relatime":     {},
		"ro,nodev,sync,nouuid": {unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV, []string{"ro", "sync", "nouuid"}, nil},
		"ro,rw":                {0, []string{"ro", "rw"}, nil},
		"strictatime,noatime":  {unix.MOUNT_ATTR_NOATIME, nil, nil},
		"a=b=c,x=":             {0, nil, [][2]string{{"a", "b=c"}, {"x", ""}}},
	} {
		if got, err := parseMountOptions(list); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", list, got, err)
		}
	}
	for line, want := range map[string]string{"e ext4: Unknown parameter 'foo'\n": "ext4: Unknown parameter 'foo'", "w xfs: it": "xfs: it", "": "", "i": "i"} {
		if got := message(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	for _, bad := range []string{"loop", "x-systemd.automount", `context="a,b"`, "a\x00b", "offset=4096", "bind", "remount,ro"} {
		if got, err := parseMountOptions(bad); err == nil {
			t.Errorf("%s: %+v", strconv.Quote(bad), got)
		}
	}
}
