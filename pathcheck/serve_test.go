package pathcheck

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// TestUnread: a parent that does not read is told so, and left.
func TestUnread(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PATHCHECK_TEST_SERVE=read")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = w, &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		for { // its events fill the pipe
			if _, err := io.WriteString(in, "stop "+strings.Repeat("x", 1000)+"\n"); err != nil {
				return
			}
		}
	}()
	stuck := time.AfterFunc(bound, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(log.String(), "ERROR ") {
		t.Errorf("exit status %d, log %q", code, log.String())
	}
}

// TestLogUnread: a log that nobody reads holds nothing up.
func TestLogUnread(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PATHCHECK_TEST_SERVE=read")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stderr = w
	cmd.Stdin = strings.NewReader(strings.Repeat("what is this\n", 20_000) + "stop x")
	stuck := time.AfterFunc(bound, func() { cmd.Process.Kill() })
	defer stuck.Stop()
	out, err := cmd.Output()
	if err != nil || strings.Count(string(out), "\n") != 20_001 || !strings.HasSuffix(string(out), "\nstop x 2 no such file or directory\n") {
		t.Errorf("%v, %d lines", err, strings.Count(string(out), "\n"))
	}
}

// TestGoneParent: what the program and its helpers do when the program is killed.
func TestGoneParent(t *testing.T) {
	t.Parallel()
	h := newHung(t)
	p := start(t, "read")
	p.tell("start " + h.path + " 1")
	p.awaitLog("no answer")
	helpers := helpersOf(p.cmd.Process.Pid)
	p.cmd.Process.Kill()
	for range p.lines { // the pipe ends although a helper hangs: it has no copy of it
	}
	eventually(t, "the helpers to end", func() bool {
		for _, pid := range helpers {
			if unix.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	})
}

// TestKilledHelpers: whoever kills the helpers delays a check and costs none.
func TestKilledHelpers(t *testing.T) {
	t.Parallel()
	h, fine := newHung(t), file(t)
	p := start(t, "read")
	p.tell("start "+h.path+" 3600", "start "+fine+" 1")
	// The hung path is given up after its helper was killed under it several
	// times; a helper that it has not come to yet is killed for nothing.
	given := "check " + h.path + " " + errnoText(unix.EIO)
	for kills := 0; ; {
		line := p.next()
		if strings.HasPrefix(line, given) {
			break
		}
		if !strings.HasPrefix(line, "check "+fine+" 0 ") {
			continue
		}
		if kills++; kills > 100 {
			t.Fatal("the hung path is never given up")
		}
		for _, pid := range helpersOf(p.cmd.Process.Pid) {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
	p.await("check " + fine + " 0 ")
}

// TestTaskLimit: where no thread can be had, what must wait for one is told, and
// the rest goes on.
func TestTaskLimit(t *testing.T) {
	t.Parallel()
	cgroup := "/sys/fs/cgroup/pids/assay-test-" + machine.Token()
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		t.Skipf("needs the right to make a cgroup of pids: %v", err)
	}
	p := start(t, "read")
	t.Cleanup(func() {
		p.in.Close()
		p.wait()
		eventually(t, "the cgroup to be free", func() bool { return os.Remove(cgroup) == nil })
	})
	write := func(name, s string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(cgroup, name), []byte(s), 0); err != nil {
			t.Fatal(err)
		}
	}
	fine := file(t)
	p.tell("start " + fine + " 1")
	p.await("check " + fine + " 0 ")
	for _, pid := range append(helpersOf(p.cmd.Process.Pid), p.cmd.Process.Pid) {
		write("cgroup.procs", strconv.Itoa(pid))
	}
	b, err := os.ReadFile(filepath.Join(cgroup, "pids.current"))
	if err != nil {
		t.Fatal(err)
	}
	now, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	write("pids.max", strconv.Itoa(now+20))
	dir := t.TempDir()
	for i := range 300 {
		path := filepath.Join(dir, strconv.Itoa(i))
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		p.tell("start " + path + " 1")
	}
	p.await("check " + dir)
	for range 3 {
		if line := p.await("check " + dir); !strings.HasSuffix(line, " "+errnoText(unix.EAGAIN)) {
			t.Fatalf("event %q", line)
		}
	}
	p.tell("stop " + fine)
	p.await("stop " + fine + " 0 ")
	write("pids.max", "max")
	p.tell("start " + fine + " 1")
	for line := p.await("check " + fine); !strings.Contains(line, " 0 "); line = p.await("check " + fine) {
	}
	eventually(t, "all others to have a thread", func() bool {
		for i := range 300 {
			if !strings.Contains(strings.Join(p.log(), "\n"), filepath.Join(dir, strconv.Itoa(i))+": no answer") {
				return false
			}
		}
		return true
	})
}

// FuzzCommands: whatever comes on standard input, each line has its answer, in
// order, and the end of it ends the service.
func FuzzCommands(f *testing.F) {
	for _, s := range []string{"", "\n", "start\nstop\n", "start /nowhere 10\nstop /nowhere\nstop /nowhere", "start \x00 1\n",
		"stop \xff\xfe\r\n", "start /nowhere 1\nstart /nowhere 1\n", strings.Repeat("x", 1<<20), "stop " + strings.Repeat("y", 1<<20) + "\n", " \n  \n\t\n",
		strings.Repeat("stop /nowhere\nstart\nstop /nowhere\n\n", 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var out strings.Builder
		s := Service{Out: &out, Log: io.Discard}
		if err := s.Serve(t.Context(), strings.NewReader(string(in))); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(in), "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		var answers []string
		for line := range strings.Lines(out.String()) {
			if f := strings.SplitN(line, " ", 4); len(f) != 4 {
				t.Fatalf("event %q", line)
			}
			if !strings.HasPrefix(line, "check ") {
				answers = append(answers, line)
			}
		}
		if len(answers) != len(lines) { // a stop may have a second one
			t.Fatalf("%d answers to %d lines:\n%q\n%q", len(answers), len(lines), lines, answers)
		}
		for i, line := range lines {
			name, _, _ := strings.Cut(strings.TrimSuffix(line, "\r"), " ")
			if name == "" {
				name = "-"
			}
			if !strings.HasPrefix(answers[i], name+" ") {
				t.Errorf("line %q was answered by %.100q", line, answers[i])
			}
		}
	})
}

// TestRandomCommands starts and stops in random order, against a model.
func TestRandomCommands(t *testing.T) {
	n := 5_000
	if os.Getenv("ASSAY_FULL") != "" {
		n = 100_000
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	fine, absent := file(t), filepath.Join(t.TempDir(), "absent")
	link := func(i int) string { return fmt.Sprintf("%s%c%d", filepath.Dir(fine), '/', i) }
	for i := range 20 {
		if err := os.Link(fine, link(i)); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, "read")
	p.tell("start " + fine + " 3600")
	p.await("check " + fine + " 0 ") // there are threads
	type expected struct{ event, path string }
	want := make(chan expected, n)
	var checks atomic.Int64
	go func() {
		defer close(want)
		// As many more as it takes until enough checks have come in between.
		for i := 0; i < n || i < 20*n && checks.Load() < int64(n/100); i++ {
			if i%100 == 0 {
				time.Sleep(time.Millisecond) // checks come in between
			}
			path := link(r.IntN(20))
			if r.IntN(10) == 0 {
				path = absent
			}
			event := []string{"start", "stop"}[r.IntN(2)]
			line := event + " " + path
			if event == "start" {
				line += " 1"
			}
			if _, err := io.WriteString(p.in, line+"\n"); err != nil {
				return
			}
			want <- expected{event, path}
		}
	}()
	model := map[string]int{} // of each path: 0 not checked, 1 checked, 2 stopping
	follow := func(line string) (answer bool) {
		f := strings.SplitN(line, " ", 4)
		name, path, errno := f[0], f[1], f[2]
		state := model[path]
		switch {
		case name == "check" && state == 1 && (errno == "0") == (path != absent):
			checks.Add(1)
			return false
		case name == "start" && errno == "0" && state == 0:
			model[path] = 1
		case name == "start" && errno == "17" && state != 0:
		case name == "stop" && errno == "0" && state == 1:
			model[path] = 0
		case name == "stop" && errno == "0" && state == 2:
			model[path] = 0
			return false // the second answer
		case name == "stop" && errno == "115" && state != 0:
			model[path] = 2
		case name == "stop" && errno == "2" && state == 0:
		default:
			t.Fatalf("event %q of a path in state %d", line, state)
		}
		return true
	}
	for w := range want {
		for {
			line := p.next()
			if !follow(line) {
				continue
			}
			if !strings.HasPrefix(line, w.event+" "+w.path+" ") {
				t.Fatalf("%s %s was answered by %q", w.event, w.path, line)
			}
			break
		}
	}
	if c := checks.Load(); c < int64(n/100) {
		t.Errorf("only %d checks came in between the commands", c)
	}
}
