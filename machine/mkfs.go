package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// fileSystem is what this package knows of a file system. mkfs makes it
// reproducible: what is lazily initialized would be written at some later
// time by a kernel thread, between the writes that are observed.
type fileSystem struct {
	name    string
	mkfs    []string // program and options
	check   []string // the same, of the program that only looks
	min     int64    // bytes of the smallest device
	why     string   // of min
	mount   string   // options under which a copy can be mounted beside the original
	unclean []int    // exit statuses of the check that say: damaged
}

func fileSystems() []fileSystem {
	return []fileSystem{{
		name:  "ext4",
		mkfs:  []string{"mkfs.ext4", "-F", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"},
		check: []string{"e2fsck", "-fn"},
		min:   2 << 20, why: "a smaller one gets no journal",
		unclean: []int{4, 8, 12}, // e2fsck(8); 8, an operational error, is also what a lost superblock gives
	}, {
		name:  "xfs",
		mkfs:  []string{"mkfs.xfs", "-f", "-q"},
		check: []string{"xfs_repair", "-n"},
		min:   300 << 20, why: "mkfs.xfs makes no smaller one since xfsprogs 5.19",
		mount:   "nouuid",
		unclean: []int{1}, // xfs_repair(8)
	}, {
		name:  "btrfs",
		mkfs:  []string{"mkfs.btrfs", "-f", "-q"},
		check: []string{"btrfs", "check", "--readonly"},
		min:   109 << 20, why: "mkfs.btrfs makes no smaller one without --mixed",
		unclean: []int{1}, // btrfs-check(8)
	}}
}

func fileSystemNamed(name string) (fileSystem, error) {
	var known []string
	for _, f := range fileSystems() {
		if f.name == name {
			return f, nil
		}
		known = append(known, f.name)
	}
	return fileSystem{}, fmt.Errorf("file system %q is unknown: want one of %s", name, strings.Join(known, ", "))
}

// Filesystems are those that Mkfs can make and this kernel can mount.
func Filesystems() []string {
	var names []string
	for _, f := range fileSystems() {
		if SupportsFilesystem(f.name) == nil {
			names = append(names, f.name)
		}
	}
	return names
}

// SupportsFilesystem says whether file systems of this type can be made,
// mounted and checked here; if not, what is missing, what would give it, and
// what would do instead. It touches nothing.
func SupportsFilesystem(fstype string) error {
	f, err := fileSystemNamed(fstype)
	if err != nil {
		return fmt.Errorf("machine: %w", err)
	}
	errs := []error{kernelHas(f.name)}
	for _, program := range []string{f.mkfs[0], f.check[0]} {
		_, err := findProgram(program)
		if missing := (*MissingProgramError)(nil); errors.As(err, &missing) {
			missing.Instead = insteadOf(f.name)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("machine: %s: %w", fstype, err)
	}
	return nil
}

// insteadOf names the file systems whose programs are here.
func insteadOf(name string) string {
	var others []string
	for _, f := range fileSystems() {
		_, noMkfs := findProgram(f.mkfs[0])
		_, noCheck := findProgram(f.check[0])
		if f.name != name && noMkfs == nil && noCheck == nil && kernelHas(f.name) == nil {
			others = append(others, f.name)
		}
	}
	if len(others) == 0 {
		return ""
	}
	return strings.Join(others, " or ") + " would do"
}

// kernelHas looks for a file system in the kernel and among the modules that
// mounting it would load.
func kernelHas(fstype string) error {
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	if slices.Contains(strings.Fields(string(b)), fstype) {
		return nil
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	release := unix.ByteSliceToString(u.Release[:])
	modules, _ := os.ReadFile(filepath.Join("/lib/modules", release, "modules.dep")) // a container has none
	if strings.Contains(string(modules), "/"+fstype+".ko") {
		return nil
	}
	return fmt.Errorf("the kernel %s has no %s, neither built in nor as a module", release, fstype)
}

// Mkfs makes a file system of type ext4, xfs or btrfs on a block device, by
// the system's own program, with opts after this package's options. Of ext4
// several -E become one, so that those of opts add to ours. Whatever the
// device held is lost. What is wrong with the arguments (unknown type, missing
// program, device mounted, device too small) is told before it is touched.
// When ctx ends, or this process does, the program is killed.
func Mkfs(ctx context.Context, device, fstype string, opts ...string) error {
	if err := mkfs(ctx, device, fstype, opts); err != nil {
		return fmt.Errorf("machine: make %s on %s: %w", fstype, device, err)
	}
	return nil
}

func mkfs(ctx context.Context, device, fstype string, opts []string) error {
	f, err := fileSystemNamed(fstype)
	if err != nil {
		return err
	}
	if err := SupportsFilesystem(fstype); err != nil {
		return err
	}
	size, err := DeviceSize(device)
	if err != nil {
		return err
	}
	mixed := slices.Contains(opts, "-M") || slices.Contains(opts, "--mixed")
	if err := f.fits(size); err != nil && !mixed {
		return err
	}
	if on, err := MountsOf(device); err != nil {
		return err
	} else if len(on) > 0 {
		return fmt.Errorf("it is mounted on %q: %w", on[0].Dir, unix.EBUSY)
	}
	args := mkfsArgs(f.mkfs[1:], opts)
	r, err := runProgram(ctx, f.mkfs[0], append(args, "--", device)...)
	if err != nil {
		return err
	}
	if r.exit != 0 {
		return fmt.Errorf("%s ended with status %d: %s", f.mkfs[0], r.exit, r.output)
	}
	return nil
}

// CheckSize returns an error if a device of so many bytes is too small for a file
// system of the type.
func CheckSize(fstype string, bytes int64) error {
	f, err := fileSystemNamed(fstype)
	if err != nil {
		return err
	}
	return f.fits(bytes)
}

func (f fileSystem) fits(bytes int64) error {
	if bytes < f.min {
		return fmt.Errorf("it has %d bytes; %s needs %d (%d MiB): %s", bytes, f.name, f.min, f.min>>20, f.why)
	}
	return nil
}

// mkfsArgs joins the options; mke2fs heeds only its last -E.
func mkfsArgs(ours, theirs []string) []string {
	args := slices.Clone(ours)
	for i := 0; i < len(theirs); i++ {
		if e := slices.Index(args, "-E"); e >= 0 && theirs[i] == "-E" && i+1 < len(theirs) {
			i++
			args[e+1] += "," + theirs[i]
			continue
		}
		args = append(args, theirs[i])
	}
	return args
}

// DeviceSize is the size of a block device in bytes, from sysfs: unlike
// opening the device that never waits for it.
func DeviceSize(device string) (int64, error) {
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, fmt.Errorf("%s: %w", device, unix.ENOTBLK)
	}
	path := fmt.Sprintf("/sys/dev/block/%d:%d/size", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var sectors int64 // of 512 bytes, whatever the device's block is
	if _, err := fmt.Sscan(string(b), &sectors); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return sectors * 512, nil
}
