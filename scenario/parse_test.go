package scenario_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/object"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/volume"
)

func registry() *scenario.Registry {
	reg := &scenario.Registry{}
	object.Register(reg, object.World{})
	volume.Register(reg, soft.Driver{})
	return reg
}

const minimal = `
- name: a
  required: {buckets: 1}
  tests: [put]
  checks: [check-content]
`

// with is the minimal scenario with lines added.
func with(lines ...string) string { return minimal + "  " + strings.Join(lines, "\n  ") + "\n" }

// without is the minimal scenario with one line replaced.
func without(line, replacement string) string {
	return strings.Replace(minimal, line, replacement, 1)
}

func TestErrorsNameTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "f.yaml: the file is empty"},
		{"no list", "42", `f.yaml:1:1: want a list of scenarios, not "42"`},
		{"not YAML", "a: [\n", "f.yaml:2:1: did not find expected node content"},
		{"no scenario", "[]", "f.yaml:1:1: there is no scenario"},
		{"two documents", minimal + "---\n" + minimal, "f.yaml: the file holds more than one document"},
		{"unknown key of the file", "scenarios: []\nclods: {}", `f.yaml:2:1: unknown key "clods": did you mean "clouds"?`},
		{"version", "assay: 2\nscenarios:" + strings.ReplaceAll(minimal, "\n", "\n  "), "f.yaml:1:8: version 2 of the language; this assay reads 1"},
		{"scenarios missing", "assay: 1", `f.yaml:1:1: the key "scenarios" is missing`},
		{"unknown key", with("concurency: 3"), `f.yaml:6:3: unknown key "concurency": did you mean "concurrency"?`},
		{"key twice", with("name: b"), `f.yaml:6:3: "name" is there already, in line 2`},
		{"wrong type", with("concurrency: many"), `f.yaml:6:16: "many": want a whole number`},
		{"out of range", with("concurrency: 0"), "f.yaml:6:16: 0: concurrency is at least 1"},
		{"no tests", without("tests: [put]", "tests: []"), "f.yaml:2:3: a scenario wants at least one test"},
		{"tests missing", without("  tests: [put]\n", ""), `f.yaml:2:3: the key "tests" is missing`},
		{"no checks", without("checks: [check-content]", "checks: []"), "f.yaml:2:3: a scenario wants at least one check: without one it proves nothing"},
		{"unknown test", without("[put]", "[putt]"), `f.yaml:4:11: unknown test "putt": did you mean "put"?`},
		{"unknown check", without("check-content", "check-contnet"), `f.yaml:5:12: unknown check "check-contnet": did you mean "check-content"?`},
		{"unknown fault", with("faults: [lye: {}]"), `f.yaml:6:12: unknown fault "lye": did you mean "lie"?`},
		{"unknown lie", with("faults: [lie: {kind: loose}]"), `f.yaml:6:24: unknown kind "loose": did you mean "lose"?`},
		{"option missing", with("faults: [lie: {count: 1}]"), `f.yaml:6:17: the key "kind" is missing`},
		{"unknown option", without("[put]", "[mixed: {weight: 3}]"), `f.yaml:4:19: unknown key "weight": there are delete, get, list, on, operations, overwrite, put`},
		{"no weight", without("[put]", "[mixed: {put: 0, overwrite: 0, delete: 0, get: 0, list: 0}]"), "f.yaml:4:18: mixed wants at least one weight above 0"},
		{"a name twice", minimal + minimal[1:], `f.yaml:6:3: a scenario is named "a" already, in line 2`},
		{"unknown target", without("[put]", "[put: {on: nowhere}]"), `f.yaml:4:11: put is on "nowhere", and no target has that name: there are bucket-1`},
		{"two targets of a name", without("buckets: 1", "buckets: [{name: x}, {name: x}]"), `f.yaml:2:3: two targets are named "x"`},
		{"no target", without("buckets: 1", "buckets: 0"), "f.yaml:2:3: a scenario wants at least one bucket or volume under required"},
		{"too many buckets", without("buckets: 1", "buckets: 100000"), "f.yaml:3:23: 100000: at most 1000"},
		{"size without form", with("objects: {size: -1}"), `f.yaml:6:19: "-1": a size is a number of bytes`},
		{"size with a small letter", with("objects: {size: 10m}"), `f.yaml:6:19: "10m": a size is a number of bytes`},
		{"KB", with("objects: {size: 1KB}"), `f.yaml:6:19: "1KB": a size is a number of bytes`},
		{"10Q", with("objects: {size: 10Q}"), `f.yaml:6:19: "10Q": a size is a number of bytes`},
		{"9e99", with("objects: {size: 9e99}"), `f.yaml:6:19: "9e99": a size is a number of bytes`},
		{"huge size", with("objects: {size: 99999999T}"), `f.yaml:6:19: "99999999T": a size is less than 8 EiB`},
		{"part of a byte", with("objects: {size: 0.3B}"), `f.yaml:6:19: "0.3B": a size is a whole number of bytes`},
		{"min over max", with("objects: {size: {min: 2K, max: 1K}}"), "f.yaml:6:19: min is greater than max"},
		{"half a range", with("objects: {size: {min: 2K}}"), `f.yaml:6:19: the key "max" is missing`},
		{"negative count", with("objects: {count: -4}"), `f.yaml:6:20: "-4": want a whole number, 0 or more`},
		{"huge count", with("objects: {count: 2000000000}"), "f.yaml:6:20: 2000000000: count is at most 1e+09"},
		{"duration without unit", with("timeout: 5"), `f.yaml:6:12: "5" has no unit: a duration is numbers`},
		{"duration in disorder", with("timeout: 30m 5h"), `f.yaml:6:12: "30m 5h": a duration is numbers`},
		{"unknown cloud", without("buckets: 1", "buckets: [{clouds: [awz]}]"), `f.yaml:3:34: unknown cloud "awz": did you mean "aws"?`},
		{"cloud 7", without("buckets: 1", "buckets: [{clouds: [7]}]"), `f.yaml:3:34: unknown cloud "7": there are aws, gcp, azure, s3, sproxyd, cluster`},
		{"replication", without("buckets: 1", "buckets: [{replication: true}]"), "f.yaml:3:23: this assay does not set up replication yet"},
		{"unknown kind of finding", with("expect: {fail: [los]}"), `f.yaml:6:11: unknown kind of finding "los": did you mean "lost"?`},
		{"null", with("objects: {size: }"), "f.yaml:6:19: want a size, not nothing"},
		{"one-of nothing", with("concurrency: {one-of: []}"), "f.yaml:6:25: one-of wants a list of at least one alternative"},
		{"one alternative is wrong", with("concurrency: {one-of: [1, 2, x]}"), `f.yaml:6:32: "x": want a whole number`},
		{"every without for", with("faults: [lie: {kind: lose, every: 1s}]"), "f.yaml:6:12: lie stays until the tests end, so every wants for"},
		{"two counts", with("faults: [lie: {kind: lose, after: {writes: 1, flushes: 2}}]"), "f.yaml:6:37: want one of operations, writes and flushes"},
		{"anchor in itself", "- &a [*a]", "f.yaml:1:7: *a stands in what it is an alias of"},
		{"aliases of aliases", bomb(60), "aliases add more than 100000 values to those of the file"},
		{"no time at all", with("timeout: 0s"), "f.yaml:6:12: 0s: timeout is at least 1ns"},
		{"a volume of nothing", without("buckets: 1", "volumes: [{size: 0}]"), "f.yaml:3:31: 0: size is at least 1B"},
		{"an absolute directory", with("files: {prefix: /abs/p}"), `f.yaml:6:19: "/abs/p": want a directory below that of the files`},
		{"a directory elsewhere", with("files: {prefix: ../../../x}"), `f.yaml:6:19: "../../../x": want names with one slash between two, and neither . nor .. among them`},
		{"a directory with a way up", with("files: {prefix: a/../b}"), `f.yaml:6:19: "a/../b": want names`},
		{"a directory that ends in a slash", with("files: {prefix: a/}"), `f.yaml:6:19: "a/": want names`},
		{"a long name", with("files: {prefix: " + strings.Repeat("x", 256) + "}"), "f.yaml:6:19: a name of 256 bytes: at most 255"},
		{"a long path", with("files: {prefix: " + strings.Repeat("x/", 1500) + "x}"), "f.yaml:6:19: a path of 3001 bytes: at most 3000"},
		{"a name with a zero byte", with(`files: {prefix: "a\0b"}`), `a name has no zero byte`},
		{"keys that a client resolves", with("objects: {prefix: a/../b}"), `f.yaml:6:21: "a/../b": want names`},
		{"keys from the root", with("objects: {prefix: /a}"), `f.yaml:6:21: "/a": want names`},
		{"long keys", with("objects: {prefix: " + strings.Repeat("x/", 600) + "x}"), "f.yaml:6:21: a prefix of 1201 bytes: at most 1013"},
		{"an alias of nothing", "- *nobody", "f.yaml:1:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all, err := scenario.Parse("f.yaml", []byte(c.text), registry())
			if err == nil {
				t.Fatalf("parsed to %v", all)
			}
			if !scenario.IsConfig(err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// bomb is a file in which n aliases of aliases make nine times as many values each.
func bomb(n int) string {
	text := "a0: &a0 [x]\n"
	for i := range n {
		alias := fmt.Sprintf("*a%d", i)
		text += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.Join([]string{alias, alias, alias, alias, alias, alias, alias, alias, alias}, ", "))
	}
	return text + fmt.Sprintf("scenarios: *a%d\n", n)
}

// TestAliasesAreCounted: as often as they stand for something, and no more.
func TestAliasesAreCounted(t *testing.T) {
	list := "[" + strings.Repeat("x, ", 99) + "x]"
	for aliases, refused := range map[int]bool{900: false, 1000: true} {
		text := "- &a " + list + "\n" + strings.Repeat("- *a\n", aliases)
		_, err := scenario.Parse("f.yaml", []byte(text), registry())
		if got := strings.Contains(err.Error(), "aliases add more than"); got != refused {
			t.Errorf("%d aliases of 100 values: %v", aliases, got)
		}
	}
}

// TestFIFO: a file that no process writes to is not waited for.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := scenario.ReadFile(path, registry()); !scenario.IsConfig(err) {
		t.Errorf("%v", err)
	}
	var into map[string]string
	if err := scenario.ReadStrict(path, &into); !scenario.IsConfig(err) {
		t.Errorf("%v", err)
	}
}

// TestAdjust: only numbers that a plan could have are taken.
func TestAdjust(t *testing.T) {
	all, err := scenario.Parse("f.yaml", []byte(minimal), registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		scale       float64
		concurrency int
		ok          bool
	}{
		{0, 0, true}, {1e-9, 1, true}, {1e6, 4096, true},
		{math.NaN(), 0, false}, {math.Inf(1), 0, false}, {math.Inf(-1), 0, false}, {-1, 0, false}, {1.1e6, 0, false},
		{1, -1, false}, {1, 4097, false},
	} {
		if _, err := all[0].Plan(1, 0, scenario.Adjust{Scale: c.scale, Concurrency: c.concurrency}); (err == nil) != c.ok || err != nil && !scenario.IsConfig(err) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestSeveralErrorsAtOnce(t *testing.T) {
	_, err := scenario.Parse("f.yaml", []byte(with("concurency: 3", "objects: {size: -1, cont: 4}")), registry())
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want three lines, got %v", err)
	}
}

// TestHostileFiles: each must be told in no time and in little memory.
func TestHostileFiles(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 12 {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for name, text := range map[string]string{
		"64,000 brackets":         strings.Repeat("[", 64_000),
		"64,000 brackets, closed": strings.Repeat("[", 64_000) + strings.Repeat("]", 64_000),
		"64,000 braces":           strings.Repeat("{a: ", 64_000),
		"an anchor bomb":          bomb + "scenarios: *a12",
		"100 MB":                  strings.Repeat("# nothing\n", 10_000_000),
		"no text at all":          "\x00\xff\xfe\x01",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, err := scenario.Parse("f.yaml", []byte(text), registry())
			if !scenario.IsConfig(err) {
				t.Errorf("got %v", err)
			}
			if len(err.Error()) > 1000 {
				t.Errorf("%d bytes of error: %.200s", len(err.Error()), err)
			}
			t.Logf("%v: %.200s", time.Since(began).Round(time.Millisecond), err)
		})
	}
}

func TestTenThousandScenarios(t *testing.T) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "- {name: s%d, required: {buckets: 1}, tests: [put], checks: [check-content]}\n", i)
	}
	all, err := scenario.Parse("f.yaml", []byte(text.String()), registry())
	if err != nil || len(all) != 10_000 {
		t.Errorf("%d scenarios, %v", len(all), err)
	}
}

// TestOlderFiles: files as older users have them are taken as they are.
func TestOlderFiles(t *testing.T) {
	for name, text := range map[string]string{
		"a bare list, numbers of clouds": `
- name: Write 0B
  required:
    buckets: 1
  objects:
    size: 0B
  tests:
    - put
  checks:
    - check-backend
- name: On one cloud
  required:
    buckets:
      - clouds:
          - &AWS 1
          - &GCP 2
      - clouds: [*AWS]
        transient: true
  objects: {count: 10, size: {min: 50M, max: 500M}}
  tests: [put]
  checks: [check-backend]
`,
		"anchors in a header": `
clouds: {AWS: &AWS aws, GCP: &GCP gcp}
scenarios:
  - name: a
    required: {buckets: [{clouds: [*AWS, *GCP]}]}
    tests: [put: ]
    checks: [check-backend: {on: bucket-1}]
`,
		"merge keys": `
scenarios:
  - &base
    name: a
    required: {buckets: 1}
    tests: [put]
    checks: [check-backend]
  - <<: *base
    name: b
    objects: {size: 10Ki}
`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := scenario.Parse("f.yaml", []byte(text), registry()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExamplesParse(t *testing.T) {
	files, err := filepath.Glob("../examples/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if _, err := scenario.ReadFile(f, registry()); err != nil {
			t.Error(err)
		}
	}
}

// TestPagesParse holds the examples in docs to the language.
func TestPagesParse(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, example := range strings.Split(string(text), "```yaml\n")[1:] {
			example, _, _ = strings.Cut(example, "```")
			all, err := scenario.Parse(page, []byte(example), registry())
			if err != nil || len(all) != 1 {
				t.Errorf("%v, %v in\n%s", all, err, example)
			}
			found[filepath.Base(page)]++
		}
	}
	if found["scenarios.md"] != 2 || found["your-database.md"] != 1 || found["pathcheck.md"] != 1 {
		t.Errorf("examples: %v", found)
	}
}

// TestMissingKind: a program that has no package for a kind of target says so.
func TestMissingKind(t *testing.T) {
	buckets := &scenario.Registry{}
	object.Register(buckets, object.World{})
	_, err := scenario.Parse("f.yaml", []byte(without("{buckets: 1}", "{volumes: 1}")), buckets)
	if err == nil || !strings.Contains(err.Error(), "f.yaml:3:13: this assay has no volumes") {
		t.Error(err)
	}
}

func TestMissingFile(t *testing.T) {
	_, err := scenario.ReadFile(filepath.Join(t.TempDir(), "none.yaml"), registry())
	if !scenario.IsConfig(err) || !strings.Contains(err.Error(), "none.yaml: no such file") {
		t.Error(err)
	}
	if _, err := scenario.ReadFile(t.TempDir(), registry()); !scenario.IsConfig(err) {
		t.Error(err)
	}
}

// TestSchema holds the committed schema to the types. ASSAY_GENERATE=1 writes it.
func TestSchema(t *testing.T) {
	const path = "../docs/scenario.schema.json"
	want := registry().Schema()
	if os.Getenv("ASSAY_GENERATE") != "" {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != string(want) {
		t.Errorf("%s is not what the types say (%v): make generate", path, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte(with("objects: {size: {min: 1K, max: 2Mi}, count: {one-of: [1, 2]}}", "timeout: 5h 30m", "repeat: 3", "faults: [lie: {kind: flip, after: {operations: 4}}]")))
	f.Add([]byte("clouds: {A: &A 1}\nscenarios: [{<<: {name: x}, required: {buckets: [{clouds: [*A]}]}, tests: [get], checks: [check-list]}]"))
	reg := registry()
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := scenario.Parse("f.yaml", text, reg)
		if err != nil {
			if !scenario.IsConfig(err) {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		for _, s := range all {
			p, err := s.Plan(1, 0, scenario.Adjust{})
			if err != nil {
				t.Fatalf("parsed, and no plan can be made of it: %v", err)
			}
			again, err := scenario.Parse("plan", p.Text(), reg)
			if err != nil {
				t.Fatalf("the plan cannot be read again: %v\n%s", err, p.Text())
			}
			same, err := again[0].Plan(2, 0, scenario.Adjust{})
			if err != nil || string(same.Text()) != string(p.Text()) {
				t.Fatalf("a plan of the plan differs (%v):\n%s\n%s", err, p.Text(), same.Text())
			}
		}
	})
}
