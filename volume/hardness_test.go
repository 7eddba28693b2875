package volume_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
)

// TestHardnessIsDrawn: how hard cuts are is a choice of the plan, which every value
// comes of, which a printed plan keeps, and which leaves alone what is said.
func TestHardnessIsDrawn(t *testing.T) {
	const cut = "  files: {count: 1}\n  tests: [write-files]\n  faults: [power-cut: {on: a, after: {operations: 3}}]\n  checks: [check-files]\n"
	parse := func(text string) *scenario.Scenario {
		all, err := scenario.Parse("test", []byte(text), registry())
		if err != nil {
			t.Fatal(err)
		}
		return all[0]
	}
	plan := func(s *scenario.Scenario, n uint64) *scenario.Plan {
		p, err := s.Plan(seed.Seed(n), 0, scenario.Adjust{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	two := parse("- name: x\n  required: {volumes: [{name: a, device: soft}, {name: b, device: soft}]}\n" + cut)
	seen := map[string]bool{}
	for n := range uint64(200) {
		p := plan(two, n)
		a, b := p.Required.Volumes[0], p.Required.Volumes[1]
		if a.Flusher == nil || a.Neighbour == "" || b.Flusher != nil || b.Neighbour != "" {
			t.Fatalf("drawn: %+v, %+v", a, b)
		}
		seen[a.Flusher.String()], seen[a.Neighbour] = true, true
		if again := plan(parse(string(p.Text())), n+1); !bytes.Equal(again.Text(), p.Text()) {
			t.Fatalf("printed and read again:\n%s\nwas\n%s", again.Text(), p.Text())
		}
	}
	if len(seen) != 6 {
		t.Errorf("seen: %v", seen)
	}
	said := plan(parse("- name: x\n  required: {volumes: [{name: a, device: soft, flusher: 7ms, neighbour: fsync}]}\n"+cut), 1).Required.Volumes[0]
	if said.Flusher.String() != "7ms" || said.Neighbour != "fsync" {
		t.Errorf("what was said is %v, %s", said.Flusher, said.Neighbour)
	}
}

// TestEmptyFiles: a neighbour that syncs something else commits the names of files
// whose data nothing has written yet, and the cut leaves them empty. It is looked
// for until it comes.
func TestEmptyFiles(t *testing.T) {
	needDisk(t, "ext4")
	const (
		writer = `[sh, -c, 'i=$$; while :; do i=$((i+1)); echo content > "{volume}/$i"; echo $i; sleep 0.01; done']`
		reader = `[sh, -c, 'cat > /dev/null; empty=$(find "{volume}" -type f -empty | wc -l); [ $empty = 0 ] || { echo "corrupt: $empty files are empty"; exit 1; }']`
	)
	l := newLab(t)
	out := l.run(on("device: soft, filesystem: ext4, size: 64M, mount: commit=1000, flusher: 0s, neighbour: fsync") +
		"  tests:\n    - exec: {command: " + writer + "}\n  faults: [power-cut: {every: {operations: 30}, times: 8, keep: none}]\n" +
		"  checks:\n    - exec: {command: " + reader + "}\n")
	if out.Err != nil || out.Verdict != verdict.Fail {
		t.Fatalf("%v: %s: %v", out.Verdict, out.Why, out.Err)
	}
	for _, f := range out.Findings {
		if f.Kind != verdict.Corrupt || !strings.Contains(f.Found, "files are empty") {
			t.Errorf("%v", f)
		}
	}
}
