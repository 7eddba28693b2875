package scenario_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
)

const loose = `
- name: loose
  required:
    buckets:
      - {name: one, clouds: [aws, gcp, azure]}
      - {name: two}
  objects: {count: {min: 10, max: 1000}, size: {min: 1K, max: 1M}}
  concurrency: {one-of: [1, 2, 4, 8]}
  tests:
    - one-of: [put, get]
    - mixed: {operations: {min: 1, max: 1000}, delete: {one-of: [0, 50]}}
  checks: [check-content]
  repeat: 3
- name: other
  required: {buckets: 1}
  tests: [put]
  checks: [check-list]
`

func parse(t *testing.T, text string) []*scenario.Scenario {
	t.Helper()
	all, err := scenario.Parse("test", []byte(text), registry())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func plan(t *testing.T, s *scenario.Scenario, sd seed.Seed, i int, a scenario.Adjust) *scenario.Plan {
	t.Helper()
	p, err := s.Plan(sd, i, a)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSameSeedSamePlan(t *testing.T) {
	texts := map[string]bool{}
	for sd := range seed.Seed(50) {
		a, b := plan(t, parse(t, loose)[0], sd, 1, scenario.Adjust{}), plan(t, parse(t, loose)[0], sd, 1, scenario.Adjust{})
		if !bytes.Equal(a.Text(), b.Text()) || a.ID() != b.ID() {
			t.Fatal("one seed, two plans")
		}
		texts[string(a.Text())] = true
	}
	if len(texts) != 50 {
		t.Errorf("50 seeds gave %d plans", len(texts))
	}
}

// TestChoicesAreByName: what is left out changes no other choice.
func TestChoicesAreByName(t *testing.T) {
	whole := parse(t, loose)
	alone := parse(t, "- "+strings.SplitN(loose, "\n- ", 3)[2])
	if a, b := plan(t, whole[1], 7, 0, scenario.Adjust{}), plan(t, alone[0], 7, 0, scenario.Adjust{}); !bytes.Equal(a.Text(), b.Text()) {
		t.Errorf("without the first scenario the second is another:\n%s\n%s", a.Text(), b.Text())
	}
	a := plan(t, parse(t, loose)[0], 7, 0, scenario.Adjust{})
	b := plan(t, parse(t, strings.Replace(loose, "  concurrency: {one-of: [1, 2, 4, 8]}\n", "", 1))[0], 7, 0, scenario.Adjust{})
	if a.Objects.Count != b.Objects.Count || fmt.Sprint(a.Required) != fmt.Sprint(b.Required) {
		t.Error("without a choice others are changed")
	}
}

// TestAllAlternativesAreChosen: a choice that never falls on one alternative
// would test less than it says.
func TestAllAlternativesAreChosen(t *testing.T) {
	s := parse(t, loose)[0]
	seen := map[string]int{}
	for sd := range seed.Seed(400) {
		p := plan(t, s, sd, 0, scenario.Adjust{})
		seen["cloud "+p.Required.Buckets[0].Clouds[0]]++
		seen["any "+p.Required.Buckets[1].Clouds[0]]++
		seen[fmt.Sprint("concurrency ", p.Concurrency)]++
		seen["test "+p.Tests[0].Test.Name]++
		if p.Objects.Count < 10 || p.Objects.Count > 1000 {
			t.Fatalf("count %d", p.Objects.Count)
		}
	}
	if len(seen) != 3+6+4+2 {
		t.Errorf("seen only %v", seen)
	}
	for what, n := range seen {
		if n < 30 {
			t.Errorf("%s was chosen %d times of 400", what, n)
		}
	}
}

func TestPrintedPlanIsTheSamePlan(t *testing.T) {
	for sd := range seed.Seed(50) {
		var plans []*scenario.Plan
		for _, s := range parse(t, loose) {
			for i := range s.Plans() {
				plans = append(plans, plan(t, s, sd, i, scenario.Adjust{Scale: 0.5, Concurrency: 3}))
			}
		}
		text := scenario.Print(plans)
		again := parse(t, string(text))
		if len(again) != 4 {
			t.Fatalf("%d plans were read back", len(again))
		}
		var same []*scenario.Plan
		for i, s := range again {
			p := plan(t, s, 99, 0, scenario.Adjust{}) // its own seed counts
			if p.Seed == nil || *p.Seed != *plans[i].Seed || p.Objects.Count != plans[i].Objects.Count || p.Concurrency != 3 {
				t.Errorf("plan %d came back as another", i)
			}
			same = append(same, p)
		}
		if !bytes.Equal(scenario.Print(same), text) {
			t.Fatalf("printed again it differs:\n%s\n%s", text, scenario.Print(same))
		}
	}
}

func TestTasksCoverEveryItemOnce(t *testing.T) {
	s := parse(t, loose)[0]
	for sd := range seed.Seed(30) {
		p := plan(t, s, sd, 0, scenario.Adjust{})
		for i := range p.Tests {
			seen := map[string]int64{}
			for task := range p.Tasks(i) {
				for n := task.From; n < task.To; n++ {
					seen[fmt.Sprint(task.Target, " ", n)]++
				}
			}
			if int64(len(seen)) != p.Items(i) {
				t.Fatalf("test %d: %d items of %d", i, len(seen), p.Items(i))
			}
			for item, n := range seen {
				if n != 1 {
					t.Fatalf("item %s is done %d times", item, n)
				}
			}
		}
	}
}

// TestTasksAreLazy: a plan of a thousand million objects costs nothing.
func TestTasksAreLazy(t *testing.T) {
	p := plan(t, parse(t, "- {name: huge, required: {buckets: 1}, objects: {count: 1000000000}, tests: [put], checks: [check-list]}")[0], 1, 0, scenario.Adjust{})
	n := 0
	allocated := testing.AllocsPerRun(1, func() {
		for range p.Tasks(0) {
			if n++; n%100_000 == 0 {
				break
			}
		}
	})
	if allocated > 100 {
		t.Errorf("%v allocations for 100,000 tasks", allocated)
	}
}

func TestScale(t *testing.T) {
	s := parse(t, "- {name: x, required: {buckets: 2}, objects: {count: 1000}, tests: [put, mixed: {operations: 300}], checks: [check-list]}")[0]
	p := plan(t, s, 1, 0, scenario.Adjust{Scale: 0.01})
	if p.Objects.Count != 10 || p.Items(1) != 2*3 || len(p.Required.Buckets) != 2 {
		t.Errorf("scaled to %d objects, %d operations, %d buckets", p.Objects.Count, p.Items(1), len(p.Required.Buckets))
	}
	if p := plan(t, s, 1, 0, scenario.Adjust{Scale: 1e-9}); p.Objects.Count != 1 {
		t.Errorf("scaled to %d objects, want at least one", p.Objects.Count)
	}
}

// TestGenerationsDoNotMeet: no two tests of a plan write one generation.
func TestGenerationsDoNotMeet(t *testing.T) {
	p := plan(t, parse(t, "- {name: x, required: {buckets: 1}, objects: {count: 10}, tests: [put, mixed: {operations: 300}, put, get], checks: [check-list]}")[0], 1, 0, scenario.Adjust{})
	if a, b, c, d := p.Generations(0), p.Generations(1), p.Generations(2), p.Generations(3); a != 0 || b != 1 || c != 601 || d != 602 {
		t.Errorf("%d %d %d %d", a, b, c, d)
	}
}

// TestScenarioWord: a plan says where the scripts beside its scenario are, and
// so can be run from anywhere else.
func TestScenarioWord(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "s.yaml")
	const text = `
- name: a
  required: {volumes: [{device: none, path: /tmp}]}
  tests:
    - exec: {command: ["{scenario}/writer.sh", {one-of: ["--dir={scenario}:{scenario}/x"]}, "{volume}"]}
  checks:
    - exec: {command: [reader, "{scenario"]}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := scenario.ReadFile(file, registry())
	if err != nil {
		t.Fatal(err)
	}
	p := plan(t, all[0], 1, 0, scenario.Adjust{})
	for _, want := range []string{dir + "/writer.sh\n", "--dir=" + dir + ":" + dir + "/x", "{volume}", "{scenario\"\n"} {
		if !bytes.Contains(p.Text(), []byte(want)) {
			t.Errorf("%q is not in\n%s", want, p.Text())
		}
	}
	elsewhere, err := scenario.Parse("/elsewhere/plan.yaml", p.Text(), registry())
	if err != nil {
		t.Fatal(err)
	}
	if again := plan(t, elsewhere[0], 2, 0, scenario.Adjust{}); !bytes.Equal(again.Text(), p.Text()) {
		t.Errorf("elsewhere the plan is another:\n%s\nwas\n%s", again.Text(), p.Text())
	}
}
