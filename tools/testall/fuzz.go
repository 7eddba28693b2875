package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// fuzz runs every fuzz target of the packages. Each package's program is built
// once, and not for each target as "go test -fuzz" does.
func (t *tally) fuzz(each string, packages []string) error {
	tmp, err := os.MkdirTemp("", "testall-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for _, p := range packages {
		dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", p).Output()
		if err != nil {
			return fmt.Errorf("list %s: %w", p, err)
		}
		if err := t.fuzzPackage(each, p, strings.TrimSpace(string(dir)), tmp); err != nil {
			return err
		}
	}
	return nil
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

func (t *tally) fuzzPackage(each, pkg, dir, tmp string) error {
	var targets []string
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return err
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range fuzzTarget.FindAllSubmatch(b, -1) {
			targets = append(targets, string(m[1]))
		}
	}
	if len(targets) == 0 {
		return nil
	}
	program := filepath.Join(tmp, "fuzz.test")
	if out, err := exec.Command("go", "test", "-c", "-fuzz", ".", "-o", program, pkg).CombinedOutput(); err != nil {
		return fmt.Errorf("build the fuzz targets of %s: %w: %s", pkg, err, out)
	}
	for _, target := range targets {
		cmd := exec.Command(program, "-test.run", "^$", "-test.fuzz", "^"+target+"$", "-test.fuzztime", each,
			"-test.parallel", "2", "-test.fuzzcachedir", filepath.Join(tmp, "cache", pkg))
		cmd.Dir = dir
		text, err := cmd.CombinedOutput()
		if err != nil && !endedLate(string(text)) {
			fmt.Printf("FAIL  %s.%s (fuzzed)\n%s", pkg, target, text)
			t.failed++
			continue
		}
		fmt.Printf("ok    %s.%s  fuzzed %s\n", pkg, target, each)
		t.passed++
	}
	return nil
}

// endedLate reports whether a fuzz target failed only because its time was up
// while an input was running: the engine calls that a failure now and then,
// with no failing input and no message but this.
func endedLate(output string) bool {
	return strings.Contains(output, "    context deadline exceeded\n") && !strings.Contains(output, "Failing input")
}
