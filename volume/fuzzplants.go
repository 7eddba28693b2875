package volume

import (
	"fmt"
	"strconv"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/scenario/fuzz"
)

func fuzzPlants() []fuzz.Plant {
	return []fuzz.Plant{
		{Name: "written", Make: plantWritten, Duty: dutyOfLie},
		{Name: "flushed", Make: plantFlushed, Duty: dutyOfLie},
		{Name: "unpromised", Make: plantUnpromised, Duty: dutyOfNothing},
	}
}

const plantBlock = 64 << 10 // the default of the tests that write

// plantDisk describes the one volume of a plant: what it holds must be seen in
// its recording as it was written.
func plantDisk(d fuzz.Draw, s *fuzz.Scenario) {
	fs := d.One("filesystem", fuzzFilesystems()...)
	var o fuzz.Options
	o.Add("name", "v1")
	o.Add("filesystem", fs)
	o.Add("size", map[string]string{"ext4": "64M", "xfs": "300M", "btrfs": "160M"}[fs])
	o.Add("mount", map[string]string{"ext4": "commit=1000", "btrfs": "notreelog"}[fs])
	s.Targets = []fuzz.Target{{Kind: scenario.VolumeKind, Options: o}}
	s.Concurrency = d.Between("concurrency", 1, 8)
	s.Checks = []fuzz.Use{{Name: "check-files"}}
}

// plantFiles are files of whole blocks; operations is what writing them again
// with an fsync takes.
func plantFiles(d fuzz.Draw, s *fuzz.Scenario) (count, operations int64) {
	count = d.Between("count", 1, 12)
	size := plantBlock * d.Between("blocks", 1, 8)
	var o fuzz.Options
	o.Add("count", strconv.FormatInt(count, 10))
	o.Add("size", scenario.Size(size).String())
	s.Items = []fuzz.Items{{Name: "files", Options: o}}
	return count, count * (size/plantBlock + 3) // created, written, synced, its directory too
}

// plantWritten is one lie about writes, under files that are all synced in the
// end.
func plantWritten(d fuzz.Draw, s *fuzz.Scenario) {
	plantDisk(d, s)
	count, operations := plantFiles(d, s)
	sync := d.One("sync", "fsync", "fsync", "fdatasync", "syncfs", "O_DSYNC", "O_SYNC")
	test := func(name string) {
		u := fuzz.Use{Name: name}
		u.Options.Add("sync", sync)
		if d.In(name).Chance("direct", 0.3) {
			u.Options.Add("direct", "true")
		}
		s.Tests = append(s.Tests, u)
	}
	test("write-files")
	kind := d.One("kind", string(flakey.CorruptWrites), string(flakey.CorruptWrites), string(flakey.DropWrites), string(flakey.TearWrites), string(flakey.MisdirectWrites))
	u := fuzz.Use{Name: kind}
	if again := d.Chance("again", 0.65); again {
		test("rewrite-files")
		if sync == "fsync" && d.Chance("one-file", 0.6) {
			u.Options.Add("path", fmt.Sprintf(`"%08d"`, d.Between("file", 0, count-1)))
			u.Options.Add("after", fmt.Sprintf("{operations: %d}", operations))
		}
	}
	if u.Options.Get("after") == "" && d.Chance("after", 0.7) {
		u.Options.Add("after", "{operations: "+d.Number("operations", 1, operations)+"}")
	}
	u.Options.Add("count", d.Number("touched", 1, 3))
	if d.Chance("seldom", 0.3) {
		u.Options.Add("probability", d.One("probability", "0.1", "0.5"))
	}
	s.Faults = []fuzz.Use{u}
	if d.Chance("reads", 0.3) {
		s.Tests = append(s.Tests, fuzz.Use{Name: "read-files"})
	}
}

// plantFlushed is a disk that drops flushes and then loses its power while
// files that were all synced are read.
func plantFlushed(d fuzz.Draw, s *fuzz.Scenario) {
	plantDisk(d, s)
	count, operations := plantFiles(d, s)
	s.Tests = []fuzz.Use{{Name: "write-files"}, {Name: "read-files"}}
	drop := fuzz.Use{Name: string(flakey.DropFlushes)}
	if d.Chance("after", 0.6) {
		drop.Options.Add("after", "{operations: "+d.Number("operations", 1, operations)+"}")
	}
	if d.Chance("seldom", 0.4) {
		drop.Options.Add("probability", d.One("probability", "0.2", "0.7"))
	}
	cut := fuzz.Use{Name: powerCutName}
	cut.Options.Add("keep", "none")
	cut.Options.Add("after", "{operations: "+d.Number("cut", operations, operations+count)+"}")
	s.Faults = []fuzz.Use{drop, cut}
}

// plantUnpromised has nothing at stake: no work, work that is never synced before
// its power cut, or probes alone.
func plantUnpromised(d fuzz.Draw, s *fuzz.Scenario) {
	plantDisk(d, s)
	plantFiles(d, s)
	add := func(name, key, value string) fuzz.Use {
		u := fuzz.Use{Name: name}
		u.Options.Add(key, value)
		return u
	}
	some := []fuzz.Use{add("pause", "for", "20ms"), add("delay", "time", "1ms"), add("kill", "after", "30ms"), add(powerCutName, "after", "30ms")}
	switch d.One("how", "none", "unsynced", "probes") {
	case "none":
		s.Items[0].Options.Set("count", "0")
		s.Tests = []fuzz.Use{{Name: "write-files"}}
		s.Faults = some[d.Between("fault", 0, 3):][:1]
	case "unsynced":
		u := add("write-files", "sync", "none")
		u.Options.Add("sync-directory", "false")
		s.Tests = []fuzz.Use{u}
		s.Targets[0].Options.Add("flusher", d.One("flusher", "0s", "5ms"))
		s.Faults = []fuzz.Use{add(powerCutName, "after", "{operations: "+d.Number("cut", 1, 20)+"}")}
	case "probes":
		u := add("probe-latency", "check", d.One("probe", "list", "write"))
		u.Options.Add("for", "200ms")
		s.Tests = []fuzz.Use{u}
		if i := d.Between("fault", -1, 3); i >= 0 {
			s.Faults = some[i:][:1]
		}
	}
}
