package volume

import (
	"slices"
	"strconv"
	"strings"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/scenario/fuzz"
)

// Fuzz is what the fuzzer has to know of volumes. See package fuzz.
func Fuzz() fuzz.Domain {
	return fuzz.Domain{
		Kind: scenario.VolumeKind, Needs: func() error { return (soft.Driver{}).Supports("") },
		Target: fuzzVolume, Items: fuzzFiles,
		Test: "write-files", Check: "check-files", With: map[string]string{"exec": "exec", "check-latency": "probe-latency"},
		Values: fuzzValues(), Counts: []string{"writes", "flushes"}, Mend: fuzzMend,
		Honest:    []string{powerCutName, powerCutName, powerCutName, "kill", "pause", "pressure", "delay", "hang", "error-writes", "error-reads", "error-flushes"},
		Processes: []string{"softdisk", "softdisk", "softdisk-keeper", "softdisk-flusher", "volume-neighbour", "volume-worker", "volume-command"},
		Plants:    fuzzPlants(),
	}
}

// fuzzVolume describes a volume. The smallest disks are those that soon are full.
func fuzzVolume(d fuzz.Draw) (o fuzz.Options) {
	if d.Chance("directory", 0.04) {
		o.Add("device", "none")
		o.Add("path", "/var/tmp") // records are more likely below /tmp, and are not to be on what is judged
		return o
	}
	fs := d.One("filesystem", fuzzFilesystems()...)
	o.Add("filesystem", fs)
	o.Add("size", d.One("size", map[string][]string{"ext4": {"16M", "32M", "64M", "128M", "256M"}, "xfs": {"300M", "320M"}, "btrfs": {"112M", "160M", "256M"}}[fs]...))
	if d.Chance("mounted", 0.4) {
		o.Add("mount", d.One("mount", map[string][]string{
			"ext4":  {"noatime", "commit=1", "commit=1000", "nodelalloc", "data=journal", "discard"},
			"xfs":   {"noatime", "wsync", "discard", "logbsize=64k"},
			"btrfs": {"noatime", "nodatacow", "compress=zstd", "discard", "max_inline=0", "commit=1"},
		}[fs]...))
	}
	if d.Chance("sectored", 0.15) && fs != "ext4" { // a torn superblock of ext4 cannot be mounted: docs/track-record.md
		o.Add("sector", "512")
	}
	if d.Chance("flushed", 0.3) {
		o.Add("flusher", d.One("flusher", "0s", "2ms", "10ms", "100ms"))
	}
	if d.Chance("neighboured", 0.3) {
		o.Add("neighbour", d.One("neighbour", "none", "fsync", "syncfs"))
	}
	if d.Chance("recorded", 0.15) {
		o.Add("record", d.One("record", "true", "false"))
	}
	if d.Chance("scarce", 0.05) {
		o.Add("memory", d.One("memory", "8M", "16M", "32M"))
	}
	return o
}

// fuzzFilesystems are those that this machine can make. The text of a scenario
// depends on them, and on nothing else of the machine.
func fuzzFilesystems() []string {
	if all := machine.Filesystems(); len(all) > 0 {
		return all
	}
	return []string{defaultFilesystem}
}

// fuzzFiles are many small files or a few large ones.
func fuzzFiles(d fuzz.Draw) (fuzz.Items, int64) {
	var o fuzz.Options
	count := d.Between("count", 1, 24)
	sizes := []string{"0B", "1", "511", "4K", "24K", "{min: 0B, max: 16K}", "{min: 100, max: 64K}"}
	if d.Chance("large", 0.3) {
		count = d.Between("few", 1, 6)
		sizes = []string{"256K", "1M", "{min: 64K, max: 4M}", "6M"}
	}
	if d.Chance("none", 0.02) {
		count = 0
	}
	o.Add("count", strconv.FormatInt(count, 10))
	o.Add("size", d.One("size", sizes...))
	if d.Chance("prefixed", 0.2) {
		o.Add("prefix", d.One("prefix", "a", "a/b", "a/b/c/d"))
	}
	if d.Chance("named", 0.15) {
		o.Add("names", "odd")
	}
	return fuzz.Items{Name: "files", Options: o}, 4 * count
}

// Commands of fuzzed scenarios. The writer promises a line once it is synced, and
// ends with the first call that fails; the reader counts the lines that are there.
const (
	fuzzWriter = `[sh, -ec, 'touch "$0/log"; sync "$0/log" "$0"; n=$(wc -l < "$0/log"); i=0; while [ $i -lt 60 ]; do i=$((i+1)); n=$((n+1)); echo $n >> "$0/log"; sync "$0/log"; echo $n; done', "{volume}"]`
	fuzzReader = `[sh, -c, 'want=$(sort -n | tail -n 1); [ -z "$want" ] && exit 0; test -e "$0/log" || { echo "lost: there is no log"; exit 1; }; have=$(wc -l < "$0/log") || exit 2; [ $have -ge $want ] || { echo "lost: $have of $want lines are there"; exit 1; }', "{volume}"]`
)

// fuzzValues keep runs small, and choose where a type alone does not say.
func fuzzValues() map[string]fuzz.Value {
	one := func(of ...string) fuzz.Value {
		return fuzz.Value{Draw: func(d fuzz.Draw, _ *fuzz.Scenario) string { return d.One("value", of...) }}
	}
	number := func(lo, hi int64) fuzz.Value {
		return fuzz.Value{Draw: func(d fuzz.Draw, _ *fuzz.Scenario) string { return d.Number("value", lo, hi) }}
	}
	always := func(v fuzz.Value) fuzz.Value { v.Always = true; return v }
	never := one("")
	return map[string]fuzz.Value{
		"block":                  {Draw: fuzzBlock},
		"queue-depth":            number(1, 8),
		"sync-every":             number(0, 6),
		"append-files.writes":    always(number(1, 6)),
		"rewrite-files.writes":   number(1, 8),
		"rewrite-files.punch":    number(1, 4),
		"probe-latency.for":      always(one("50ms", "300ms", "800ms")),
		"probe-latency.interval": one("5ms", "20ms", "100ms"),
		"check-latency.max":      always(one("5m")), // an honest stack may be slow
		"check-latency.p99":      never,
		"sync":                   one("fsync", "fsync", "fsync", "fdatasync", "O_DSYNC", "O_SYNC", "syncfs", "msync", "none"),
		"exec.command":           {Draw: fuzzCommand},
		"exec.acknowledges":      never,
		"exec.expects":           never,
		"exec.timeout":           never,

		"pressure.memory": one("1M", "32M", "64M"),
		"pressure.cpu":    one("0.2", "1"),
		"pressure.disk":   one("1M", "8M", "24M"),
		"pressure.inodes": number(1, 200),
		"hang.for":        always(never), // of the trigger: without it they would hold the tests up for ever
		"pause.for":       always(never),
		"delay.time":      always(one("1ms", "5ms", "20ms")),
		"sectors":         one("0-4096", "2048-8192", "100-20000"),
		"path":            one("00000000", "00000000", "00000001"),
		"count":           number(1, 6),
		"probability":     one("0.05", "0.3", "0.9"),
	}
}

// fuzzBlock is a block of which no file is so many that a run takes long.
func fuzzBlock(d fuzz.Draw, s *fuzz.Scenario) string {
	for _, i := range s.Items {
		if size := i.Options.Get("size"); i.Name == "files" && strings.Contains(size, "M") {
			return d.One("value", "16K", "64K", "100000", "1M")
		}
	}
	return d.One("value", "512", "1000", "4K", "16K", "64K")
}

// fuzzCommand is a writer for the test, and a reader for the check, which is
// drawn when the tests are there.
func fuzzCommand(_ fuzz.Draw, s *fuzz.Scenario) string {
	if fuzz.Has(s.Tests, "exec") {
		return fuzzReader
	}
	return fuzzWriter
}

// fuzzMend makes volumes, tests and faults fit one another.
func fuzzMend(_ fuzz.Draw, s *fuzz.Scenario) {
	for _, list := range []*[]fuzz.Use{&s.Tests, &s.Faults} {
		for i := range *list {
			mendUse(&(*list)[i])
		}
	}
	if fuzz.Has(s.Tests, "exec") { // one log on one volume, whose reader reads the same
		mendExec(s)
	}
	mendErrors(s)
	mendBtrfs(s)
	if slices.ContainsFunc(s.Targets, func(t fuzz.Target) bool { return t.Options.Get("device") == "none" }) {
		mendDirectory(s)
	}
}

// mendErrors keeps errors away from what ext4 and xfs know of files: once their
// journal has failed, some of their fsyncs return 0 and promise nothing (see
// docs/promises.md). Errors of the content of one file they report.
func mendErrors(s *fuzz.Scenario) {
	if !slices.ContainsFunc(s.Targets, func(t fuzz.Target) bool {
		return t.Kind == scenario.VolumeKind && t.Options.Get("filesystem") != "btrfs"
	}) {
		return
	}
	s.Faults = slices.DeleteFunc(s.Faults, func(u fuzz.Use) bool {
		return strings.HasPrefix(u.Name, "error-") && (u.Options.Get("path") == "" || u.Name == "error-flushes")
	})
}

func mendUse(u *fuzz.Use) {
	o := &u.Options
	if o.Get("sync") == "msync" {
		o.Drop("direct")
	}
	if !strings.Contains(o.Get("after"), "operations") { // before it was written a file has no sectors
		o.Drop("path")
	}
	if o.Get("path") != "" {
		o.Drop("sectors")
	}
	if u.Name == powerCutName && o.Get("keep") != "" && o.Get("keep") != "random" {
		o.Drop("probability")
	}
	if u.Name != "pressure" {
		return
	}
	if o.Get("full") == "true" {
		o.Drop("disk")
	}
	if o.Get("memory")+o.Get("cpu")+o.Get("disk")+o.Get("inodes") == "" && o.Get("full") != "true" {
		o.Set("full", "true")
	}
}

// mendExec aims the command and its check at the first volume, which both get
// for {volume}.
func mendExec(s *fuzz.Scenario) {
	first := ""
	for _, t := range s.Targets {
		if t.Kind == scenario.VolumeKind {
			first = t.Options.Get("name")
			break
		}
	}
	for _, list := range [][]fuzz.Use{s.Tests, s.Checks} {
		for i := range list {
			if list[i].Name == "exec" {
				list[i].Options.Set("on", first)
			}
		}
	}
}

// mendDirectory takes out what needs a disk: on a directory there is none, and
// no copy of it can be checked.
func mendDirectory(s *fuzz.Scenario) {
	s.Faults = slices.DeleteFunc(s.Faults, func(u fuzz.Use) bool {
		return needsDisk(u.Name) || strings.Contains(u.Options.Get("after")+u.Options.Get("every"), "writes") ||
			strings.Contains(u.Options.Get("after")+u.Options.Get("every"), "flushes") ||
			u.Options.Get("full") != "" || u.Options.Get("disk") != "" || u.Options.Get("inodes") != "" // it is the machine's own
	})
	s.Checks = slices.DeleteFunc(s.Checks, func(u fuzz.Use) bool { return u.Name == "check-fsck" })
}

// mendBtrfs keeps what btrfs is known to lose out of scenarios (see
// docs/promises.md): names that come back from its log tree, and what several
// syncs of one directory at once promise.
func mendBtrfs(s *fuzz.Scenario) {
	for i := range s.Targets {
		t := &s.Targets[i]
		if t.Kind != scenario.VolumeKind || t.Options.Get("filesystem") != "btrfs" {
			continue
		}
		mount := "notreelog"
		if had := t.Options.Get("mount"); had != "" {
			mount = strconv.Quote(had + "," + mount)
		}
		t.Options.Set("mount", mount)
	}
}
