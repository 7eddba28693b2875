package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/seed"
)

// pressed is a running assay pressure.
type pressed struct {
	*exec.Cmd
	url string
	on  string           // the address that it says it listens on
	log *strings.Builder // read only after Wait
	end chan struct{}    // closed at the end of its log
}

// press starts the service on a free port, with files in dir.
func press(t *testing.T, dir string, env []string, args ...string) *pressed {
	t.Helper()
	p := &pressed{Cmd: command(t.Context(), t, t.TempDir(), args...), log: &strings.Builder{}, end: make(chan struct{})}
	p.Env = append(append(p.Env, "ASSAY_LISTEN_PORT=0", "DATADIR="+dir, "HIGHMEMLIM=268435456", "HIGHFILELIM=134217728", "ASSAY_LISTEN_TOKEN="), env...)
	if len(args) == 0 {
		p.Args[0] = "/usr/local/bin/testero"
	}
	out, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	lines := bufio.NewReader(out)
	where := regexp.MustCompile(`Starting web server on: (\S+)`)
	for p.url == "" {
		line, err := lines.ReadString('\n')
		p.log.WriteString(line)
		if m := where.FindStringSubmatch(line); m != nil {
			p.on = m[1]
			p.url = "http://" + strings.NewReplacer("0.0.0.0", "127.0.0.1", "[::]", "127.0.0.1").Replace(p.on)
		}
		if err != nil {
			t.Fatalf("it did not start: %s", p.log)
		}
	}
	go func() {
		defer close(p.end)
		_, _ = io.Copy(p.log, lines)
	}()
	return p
}

// stop signals and waits for the end.
func (p *pressed) stop(s os.Signal) int {
	_ = p.Process.Signal(s)
	<-p.end
	_ = p.Wait()
	return p.ProcessState.ExitCode()
}

func fetch(t *testing.T, url string, token string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// TestTestero calls the binary by the name of the tool whose place it takes,
// and looks from outside at what it holds.
func TestTestero(t *testing.T) {
	dir := t.TempDir()
	p := press(t, dir, nil)
	if _, text := fetch(t, p.url+"/api/mem/getact", ""); !strings.HasPrefix(text, "Last request ID: 0\nParts of size: 262144, Count: 0\n") {
		t.Error(text)
	}
	before := rss(t, p.Process.Pid)
	total := regexp.MustCompile(`Total size: (\d+) bytes\.\n$`)
	held := func(path string) (n int64) {
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			_, text := fetch(t, p.url+path, "")
			if m := total.FindStringSubmatch(text); m != nil {
				n, _ = strconv.ParseInt(m[1], 10, 64)
				return n
			}
		}
		t.Fatal("it is busy for ever")
		return 0
	}
	// Where other tests make the machine wait for memory it takes none, and is asked again.
	reach := func(what string, size int64) (n int64) {
		for end := time.Now().Add(patience); n < size && time.Now().Before(end); {
			if _, text := fetch(t, fmt.Sprintf("%s/api/%s/set?size=%d", p.url, what, size), ""); !strings.Contains(text, " request sent for ") {
				t.Error(text)
			}
			n = held("/api/" + what + "/getact")
		}
		return n
	}
	disk, memory := reach("disk", 50_000_000), reach("mem", 100_000_000)
	if grown := rss(t, p.Process.Pid) - before; memory < 100_000_000 || grown < memory-8<<20 || grown > memory+16<<20 {
		t.Errorf("it says that it holds %d bytes, and has grown by %d", memory, grown)
	}
	if blocks := blocksBelow(t, dir); disk < 50_000_000 || blocks < disk || blocks > disk+disk/20 {
		t.Errorf("it says that it holds %d bytes, and there are %d in blocks", disk, blocks)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d: %s", code, p.log)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
	if !strings.Contains(p.log.String(), "Starting web server on: ") {
		t.Error(p.log)
	}
}

// rss is the resident memory of a process, in bytes.
func rss(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

func blocksBelow(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// TestPressureEnds ends the service at random moments of a fill, each signal in
// turn: what a SIGKILL leaves is gone after the next start.
func TestPressureEnds(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "mine")
	if err := os.WriteFile(foreign, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	sd := seed.New()
	t.Logf("seed %v", sd)
	for i, s := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT, syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
		p := press(t, dir, nil, "pressure")
		for _, path := range []string{"/api/mem/set?size=200000000", "/api/disk/set?size=100000000"} {
			fetch(t, p.url+path, "")
		}
		time.Sleep(time.Duration(sd.Below(uint64(i), 200)) * time.Millisecond)
		if code := p.stop(s); s != syscall.SIGKILL && code != 0 {
			t.Errorf("%v: exit code %d: %s", s, code, p.log)
		}
		left, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if want := 1; s != syscall.SIGKILL && len(left) != want {
			t.Errorf("after %v there are %v", s, left)
		}
	}
	if b, err := os.ReadFile(foreign); err != nil || string(b) != "mine" {
		t.Errorf("somebody else's file: %q %v", b, err)
	}
}

func TestPressureToken(t *testing.T) {
	p := press(t, t.TempDir(), []string{"ASSAY_LISTEN_TOKEN=sesame"}, "pressure")
	for token, want := range map[string]int{"": 401, "sesam": 401, "sesame": 200} {
		if got, _ := fetch(t, p.url+"/v1/state", token); got != want {
			t.Errorf("token %q: %d, want %d", token, got, want)
		}
	}
	if code := p.stop(syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d: %s", code, p.log)
	}
}

func TestPressureRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		word string
	}{
		{[]string{"pressure", "--address", "0.0.0.0"}, "give it a token"},
		{[]string{"pressure", "--tls-cert", "x"}, "come together"},
		{[]string{"pressure", "--token-file", "/nowhere"}, "the token"},
		{[]string{"pressure", "--port", "99999"}, "port 99999"},
		{[]string{"pressure", "now"}, "unknown command"},
		{[]string{"pressure", "memory", "much"}, "is no size"},
		{[]string{"pressure", "memory", "7E"}, "over the limit"},
		{[]string{"pressure", "memory", "1M", "--for", "-1s"}, "want a time"},
		{[]string{"pressure", "disk", "7E", "--data-dir", dir}, "over the limit"},
		{[]string{"pressure", "disk", "1M", "--data-dir", "/nonexistent"}, "no such file"},
		{[]string{"pressure", "disk", "1M", "--data-dir", "/dev/null"}, "not a directory"},
		{[]string{"pressure", "--port", "0", "--data-dir", "/nonexistent"}, "no such file"},
		{[]string{"pressure", "disk", "1M", "--data-dir", dir, "--inodes", "-1"}, "from 0 on"},
		{[]string{"pressure", "disk", "1M", "--data-dir", dir, "--inodes", "9223372036854775807"}, "inodes are over the limit"},
		{[]string{"pressure", "cpu", "0%", "--cores", "1"}, "more than 0"},
		{[]string{"pressure", "cpu", "NaN"}, "more than 0"},
		{[]string{"pressure", "cpu", "--cores", "NaN"}, "NaN"},
		{[]string{"pressure", "cpu", "101"}, "101"},
		{[]string{"pressure", "cpu", "half"}, "no percentage"},
	} {
		assay(t, dir, c.args...).want(t, exitUsage, c.word)
	}
}

func TestPressureWithoutServer(t *testing.T) {
	dir := t.TempDir()
	assay(t, dir, "pressure", "memory", "3M", "--for", "100ms").want(t, exitPass, "3 MiB of 3 MiB held")
	assay(t, dir, "pressure", "disk", "3M", "--for", "100ms", "--data-dir", dir, "--inodes", "3").want(t, exitPass, "3 MiB of 3 MiB held")
	assay(t, dir, "pressure", "cpu", "10%", "--cores", "1", "--for", "100ms").want(t, exitPass, "of 0.10 cores")
	if left, _ := filepath.Glob(filepath.Join(dir, "assay-pressure-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	c := command(t.Context(), t, dir, "pressure", "memory", "3M")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	c.Stdout, c.Stderr = write, write
	if err := errors.Join(c.Start(), write.Close()); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(read).ReadString('d'); err != nil || !strings.HasSuffix(line, "held") {
		t.Errorf("%q, %v", line, err)
	}
	_ = c.Process.Signal(syscall.SIGINT)
	_, _ = io.Copy(io.Discard, read)
	if err := c.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
}
