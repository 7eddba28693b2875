package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckByName: a daemon that starts a program by the name of check gets the
// protocol, through a link.
func TestCheckByName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(dir, "check")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(exe, link); err != nil {
		t.Fatal(err)
	}
	c := command(t.Context(), t, dir)
	c.Path, c.Args = link, []string{link, "--debug"}
	c.Stdin = strings.NewReader("start /nowhere/at/all\nstop /nowhere/at/all\n")
	resultOf(t, c).want(t, 0, "start /nowhere/at/all 22 invalid argument\n", "stop /nowhere/at/all 2 no such file or directory\n", "DEBUG ")
}

// TestCheckUnread: a parent that does not read gets a line of the protocol's log
// and exit status 1, and nothing else.
func TestCheckUnread(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := command(t.Context(), t, dir, "pathcheck")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var log strings.Builder
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(strings.Repeat("what\n", 20_000)), w, &log
	_ = c.Run()
	if code := c.ProcessState.ExitCode(); code != 1 || !strings.HasPrefix(log.String(), "ERROR ") || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("exit status %d, log %q", code, log.String())
	}
}

// TestPathcheckPlot: what --csv writes can be drawn.
func TestPathcheckPlot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	csv := filepath.Join(dir, "log.csv")
	c := command(t.Context(), t, dir, "pathcheck", "--check", "stat", "--csv", csv)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("start " + dir + " 1\nstart " + dir + "/absent 1\n")); err != nil {
		t.Fatal(err)
	}
	for got, buf := "", make([]byte, 4096); strings.Count(got, "check ") < 4; {
		n, err := out.Read(buf)
		if err != nil {
			t.Fatal(err, got)
		}
		got += string(buf[:n])
	}
	in.Close()
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	assay(t, dir, "pathcheck", "plot", csv).want(t, 0, "<svg", "no such file or directory")
	assay(t, dir, "pathcheck", "plot", csv, "-o", filepath.Join(dir, "plot.html")).want(t, 0)
	page, err := os.ReadFile(filepath.Join(dir, "plot.html"))
	if err != nil || !strings.HasPrefix(string(page), "<!doctype html>") || !strings.Contains(string(page), "<svg") {
		t.Errorf("%v, %.100s", err, page)
	}
	assay(t, dir, "pathcheck", "plot", filepath.Join(dir, "plot.html")).want(t, 2)
}

func TestPathcheckUsage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	paths := filepath.Join(dir, "paths")
	if err := os.WriteFile(paths, []byte("/a 1\n/a 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range [][]string{{"--check", "smell"}, {"--table"}, {"--paths", paths}, {"--paths", dir + "/absent"}, {"--listen", "x"}, {"what"}} {
		assay(t, dir, append([]string{"pathcheck"}, line...)...).want(t, 2)
	}
}
