// Package lint holds the rules of the house that a compiler does not.
package lint

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/seed-1b600011/assay"

// floors is the import table: a package imports only what is on a floor below
// its own, and of its own floor only what is listed beside it. docs/architecture.md
// draws it.
var floors = map[string]struct {
	floor      int
	neighbours []string
}{
	"seed":               {0, nil},
	"verdict":            {0, nil},
	"content":            {0, []string{"seed"}},
	"history":            {0, nil},
	"machine":            {0, nil},
	"web":                {0, nil},
	"owed":               {1, nil},
	"refstore":           {1, nil},
	"scenario":           {1, []string{"owed"}},
	"scenario/fuzz":      {1, []string{"scenario"}},
	"flakey":             {1, nil},
	"flakey/recording":   {1, []string{"flakey"}},
	"flakey/soft/medium": {1, []string{"flakey", "flakey/recording"}},
	"flakey/soft":        {1, []string{"flakey", "flakey/recording", "flakey/soft/medium"}},
	"pathcheck":          {1, nil},
	"pressure":           {1, nil},
	"volume/worker":      {1, nil},
	"volume":             {2, []string{"volume/worker"}},
	"object":             {2, nil},
	"report":             {2, nil},
	"cmd/assay":          {4, nil},

	// Of tests only.
	"internal/guest":      {0, nil},
	"internal/guest/init": {0, nil},
}

// outside are the imports from other modules, and who may have them.
var outside = map[string][]string{
	"golang.org/x/sys":                    {"flakey/recording", "flakey/soft", "flakey/soft/medium", "history", "internal/guest/init", "machine", "pathcheck", "pressure", "refstore", "volume", "volume/worker"},
	"github.com/hanwen/go-fuse/v2":        {"flakey/soft"},
	"golang.org/x/term":                   {"cmd/assay"},
	"github.com/spf13/cobra":              {"cmd/assay"},
	"go.yaml.in/yaml/v4":                  {"scenario"},
	"github.com/aws/aws-sdk-go-v2":        {"object"},
	"github.com/aws/smithy-go":            {"object"},
	"github.com/prometheus/client_golang": {"pathcheck", "pressure", "web"},
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

type pkg struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports         []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
	return all
}

func TestImportTable(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		room, ok := floors[name]
		if !ok {
			t.Errorf("%s is not in the import table: add it there and to docs/architecture.md", name)
			continue
		}
		for _, imported := range p.Imports {
			if below, ours := strings.CutPrefix(imported, module+"/"); ours {
				to, known := floors[below]
				if known && to.floor >= room.floor && !slices.Contains(room.neighbours, below) {
					t.Errorf("%s (floor %d) imports %s (floor %d): imports point down", name, room.floor, below, to.floor)
				}
				continue
			}
			if strings.Contains(strings.Split(imported, "/")[0], ".") && !allowed(imported, name) {
				t.Errorf("%s imports %s, which the table does not give it", name, imported)
			}
		}
	}
}

func allowed(imported, by string) bool {
	for prefix, who := range outside {
		if imported == prefix || strings.HasPrefix(imported, prefix+"/") {
			return slices.Contains(who, by)
		}
	}
	return false
}

// TestDependenciesAreNamed wants each direct dependency, of every module, in
// docs/dependencies.md.
func TestDependenciesAreNamed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, mod := range []string{"go.mod", "tools/go.mod"} {
		cmd := exec.Command("go", "list", "-m", "-f", "{{if not (or .Main .Indirect)}}{{.Path}}{{end}}", "all")
		cmd.Dir = filepath.Join(root(t), filepath.Dir(mod))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", mod, err)
		}
		for path := range strings.FieldsSeq(string(out)) {
			if !bytes.Contains(text, []byte(path)) {
				t.Errorf("%s requires %s, and docs/dependencies.md does not say why", mod, path)
			}
		}
	}
}

// goFiles calls f for every Go file of the repository.
func goFiles(t *testing.T, f func(path string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(root(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil {
			f(strings.TrimPrefix(path, root(t)+"/"), text)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFilesHoldOneIdea(t *testing.T) {
	goFiles(t, func(path string, text []byte) {
		if n := bytes.Count(text, []byte("\n")); n > 500 {
			t.Errorf("%s has %d lines: over 500 it likely holds two ideas", path, n)
		}
	})
}

var forbidden = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{regexp.MustCompile(`"math/rand"`), "choices are drawn from package seed"},
	{regexp.MustCompile(`(?m)^func init\(\)`), "there is no init"},
	{regexp.MustCompile(`\b(unix|syscall)\.Sync\(\)`), "sync(2) makes durable what others have left unsynced: syncfs(2) does not"},
	{regexp.MustCompile(`(?i)\b(TODO|FIXME|XXX)\b`), "what is left open belongs in an issue"},
}

func TestForbidden(t *testing.T) {
	goFiles(t, func(path string, text []byte) {
		if strings.HasPrefix(path, "internal/lint/") {
			return
		}
		for _, f := range forbidden {
			if f.pattern.Match(text) {
				t.Errorf("%s: %q: %s", path, f.pattern.Find(text), f.why)
			}
		}
	})
}

// TestNoPackageState allows package-level variables that nothing assigns to
// after their initialization: tables, errors, pools and daemons.
func TestNoPackageState(t *testing.T) {
	for _, p := range packages(t) {
		files := token.NewFileSet()
		vars := map[string]token.Pos{}
		var parsed []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
			for _, d := range f.Decls {
				if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
					for _, s := range g.Specs {
						for _, n := range s.(*ast.ValueSpec).Names {
							if n.Name != "_" {
								vars[n.Name] = n.Pos()
							}
						}
					}
				}
			}
		}
		for _, f := range parsed {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				assigned(fn, func(n *ast.Ident) {
					if _, ours := vars[n.Name]; ours {
						t.Errorf("%s: assigns to the package-level variable %s", files.Position(n.Pos()), n.Name)
					}
				})
			}
		}
	}
}

// assigned calls f for every name outside fn that fn assigns to.
func assigned(fn *ast.FuncDecl, f func(*ast.Ident)) {
	local := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, name := range n.Names {
				local[name.Name] = true
			}
		case *ast.AssignStmt:
			for _, l := range n.Lhs {
				id, ok := l.(*ast.Ident)
				if !ok {
					continue
				}
				if n.Tok == token.DEFINE {
					local[id.Name] = true
				} else if !local[id.Name] {
					f(id)
				}
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				local[name.Name] = true
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					local[id.Name] = true
				}
			}
		}
		return true
	})
}

func TestFormatted(t *testing.T) {
	cmd := exec.Command("gofmt", "-l", ".")
	cmd.Dir = root(t)
	out, err := cmd.CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("not gofmt-ed: %s (%v)", out, err)
	}
}

// TestContributingIsCompiled holds the code of CONTRIBUTING.md to the examples
// that are compiled and run.
func TestContributingIsCompiled(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root(t), "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join(root(t), "object/example_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	fold := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 3 {
		t.Errorf("%d blocks of code, want a test, a fault and a check", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(fold(string(example)), fold(b[1])) {
			t.Errorf("not in object/example_test.go:\n%s", b[1])
		}
	}
}
