package pressure

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/web"
)

// small limits, on a machine that others use too.
const (
	memoryLimit = 256 * mib
	diskLimit   = 64 * mib
)

func newService(t testing.TB, o ServiceOptions) *Service {
	t.Helper()
	o.Memory.Limit, o.Memory.Stalled = memoryLimit, -1
	o.Disk.Limit = diskLimit
	if o.Disk.Dir == "" {
		o.Disk.Dir = t.TempDir()
	}
	s, err := NewService(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// serve has a service answer on a real port, and returns its URL.
func serve(t testing.TB, s *Service) string {
	t.Helper()
	w, err := web.Listen(web.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Register(w)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w.URL()
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	a, err := http.Get(url)
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

// TestContract plays the script of the old interface.
func TestContract(t *testing.T) {
	s := newService(t, ServiceOptions{})
	at := serve(t, s)
	script, err := os.ReadFile("testdata/contract.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	var request, want string
	play := func() {
		if request == "" {
			return
		}
		for name, value := range known {
			request = strings.ReplaceAll(request, name, value)
		}
		status, got := get(t, at+request)
		if status != 200 {
			t.Errorf("%s: status %d", request, status)
		}
		compare(t, request, want, got, known)
		request, want = "", ""
	}
	for line := range strings.Lines(string(script)) {
		line = strings.TrimSuffix(line, "\n")
		switch method, rest, _ := strings.Cut(line, " "); {
		case strings.HasPrefix(line, "\t"):
			want += line[1:] + "\n"
		case line == "" || strings.HasPrefix(line, "#"):
			play()
		case method == "GET":
			play()
			request = rest
		case method == "wait":
			play()
			group := map[string]*group{"mem": &s.oldMemory, "disk": &s.oldDisk}[rest]
			eventually(t, line, func() bool { pending, _, _ := group.is(); return !pending })
		default:
			t.Fatalf("not understood: %q", line)
		}
	}
	play()
	if len(known) != 8 {
		t.Errorf("the script was not played to its end: %v", known)
	}
}

var hole = regexp.MustCompile(`\\\{([a-z]+[0-9]*)\\\}`)

// compare holds an answer to what the script wants of it, and fills in what the
// script names.
func compare(t *testing.T, request, want, got string, known map[string]string) {
	t.Helper()
	var names []string
	pattern := hole.ReplaceAllStringFunc(regexp.QuoteMeta(want), func(h string) string {
		name := h[2 : len(h)-2]
		switch {
		case name == "any":
			return ".+"
		case name == "time":
			return `20\d\d-\d\d-\d\d \d\d:\d\d:\d\d [-+]\d{4} \S+`
		case known["{"+name+"}"] != "":
			return known["{"+name+"}"]
		}
		names = append(names, name)
		return `(\d+)`
	})
	m := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(got)
	if m == nil {
		t.Fatalf("%s: got\n%s\nwant\n%s", request, got, want)
	}
	for i, name := range names {
		known["{"+name+"}"] = m[i+1]
	}
}

// TestPending asks while a request of the group is under way.
func TestPending(t *testing.T) {
	s := newService(t, ServiceOptions{})
	at := serve(t, s)
	_, done, err := s.Memory.turn.take(t.Context()) // a Set that takes long
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"set?size=1", "add?size=1", "getdef", "getact", "getact?dump="} {
		if _, got := get(t, at+"/api/mem/"+path); got != pendingText {
			t.Errorf("%s: %q", path, got)
		}
	}
	if _, got := get(t, at+"/api/disk/getdef"); got == pendingText {
		t.Error("the disk waits for the memory")
	}
	done()
	s.oldMemory.answering.Lock()
	for _, path := range []string{"set?size=1", "getdef", "getact"} {
		if _, got := get(t, at+"/api/mem/"+path); got != busyText {
			t.Errorf("%s: %q", path, got)
		}
	}
	s.oldMemory.answering.Unlock()
	if _, got := get(t, at+"/api/mem/getact"); !strings.HasPrefix(got, "Last request ID: 0\n") {
		t.Errorf("at rest: %q", got)
	}
}

// TestOldLoadEndsWithItsWork gives it a number that is soon taken apart.
func TestOldLoadEndsWithItsWork(t *testing.T) {
	s := newService(t, ServiceOptions{Factor: "1000003"})
	at := serve(t, s)
	if _, got := get(t, at+"/api/cpu/load?time=18446744073709551615"); !strings.HasPrefix(got, "CPU load requested for 18446744073709551615 seconds with id: ") {
		t.Fatal(got)
	}
	eventually(t, "the number is taken apart", func() bool {
		_, got := get(t, at+"/api/cpu/getact")
		return got == "No load request in progress\n"
	})
	if _, err := NewService(ServiceOptions{Factor: "ten"}); err == nil {
		t.Error("a number to factor that is none is taken")
	}
}

// answers are all that the old interface may say.
func answers(group string) *regexp.Regexp {
	table := `(Last request ID: \d+\n)?((Boxes|Parts|Files) of size: \d+, [Cc]ount: \d+(, total size: \d+)?\n){5}(Data: [0-9a-f]*\n)?Total size( reserved)?: \d+ bytes\.\n`
	over := `Could not compute (memory parts|file distribution): Size requested is over the limit: requested \d+ bytes, limit: \d+ bytes\.\n`
	all := []string{"Server busy, try again later\n", "Server contains pending request, try again later\n"}
	if group == "cpu" {
		all = append(all, `CPU load requested for \d+ seconds with id: \d+\n`, "CPU load stopped\n", `Incorrect stop load request ID=-?\d+\n`,
			"No load request being processed, nothing to do\n", "No load request in progress\n", "No load time specified\n", "No request ID specified\n",
			`Invalid (time|ID) specification: (?s:.)+\n`, `Load request sent at: .+\nLoad time requested: \d+ seconds\nLoad request ends at: .+\nNumber to factor: \d+\n`)
	} else {
		all = append(all, table, over, `Could not get size: (?s:.)+\n`, `(Memory|File) data request sent for \d+ bytes, with id#: \d+, check /api/(mem|disk)/getact\n`)
	}
	return regexp.MustCompile("^(" + strings.Join(all, "|") + ")$")
}

// TestManyClients has 200 of them ask at random: never is more held than the
// limit, and never is an answer one that the interface does not have.
func TestManyClients(t *testing.T) {
	length := 4 * time.Second
	if os.Getenv("ASSAY_FULL") != "" {
		length = time.Minute
	}
	s := newService(t, ServiceOptions{Log: log.New(io.Discard, "", 0)})
	at := serve(t, s)
	ctx, stop := context.WithTimeout(t.Context(), length)
	defer stop()
	sd := seed.New()
	t.Logf("seed %v", sd)
	var asked atomic.Int64
	var clients sync.WaitGroup
	for i := range 200 {
		clients.Go(func() {
			for n := range uint64(1 << 40) {
				if ctx.Err() != nil {
					return
				}
				oneRequest(t, at, sd.Index(uint64(i)).Index(n))
				asked.Add(1)
			}
		})
	}
	for ctx.Err() == nil {
		all := s.All()
		rss, _, _ := resident(t, s.Memory.arena)
		if all.Memory.Held > memoryLimit || rss > memoryLimit || all.Disk.Held > diskLimit {
			t.Fatalf("over the limit: %d bytes are resident, %+v", rss, all)
		}
		time.Sleep(20 * time.Millisecond)
	}
	clients.Wait()
	t.Logf("%d requests", asked.Load())
}

func oneRequest(t *testing.T, at string, draw seed.Seed) {
	n := func(i, below uint64) uint64 { return draw.Below(i, below) }
	group := []string{"mem", "disk", "cpu"}[n(0, 3)]
	path := []string{"set?size=", "add?size=", "getdef?x=", "getact?dump=", "set?size=-"}[n(1, 5)]
	number := draw.At(2) >> n(3, 64)
	if group == "cpu" {
		path = []string{"load?time=", "stop?id=", "getact?x="}[n(1, 3)]
		number %= 3
	}
	a, err := http.Get(fmt.Sprintf("%s/api/%s/%s%d", at, group, path, number))
	if err != nil {
		return // a connection less; the answers count
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err == nil && (a.StatusCode != 200 || !answers(group).Match(b)) {
		t.Errorf("/api/%s/%s%d: %d %q", group, path, number, a.StatusCode, b)
	}
}

// FuzzOld gives every parameter of the old interface to the fuzzer.
func FuzzOld(f *testing.F) {
	for _, value := range []string{"", "0", "1", "-1", "1e9", "262144", "99999999999999999999", "0x10", " 1", "+1", "１", "%00", "1&size=2", "1;2", "\xff", strings.Repeat("9", 16<<10)} {
		for i := range uint8(9) {
			f.Add(i, value)
		}
	}
	s := newService(f, ServiceOptions{Factor: "9"})
	w, err := web.Listen(web.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = w.Close() })
	s.Register(w)
	f.Fuzz(func(t *testing.T, which uint8, value string) {
		path := []string{"mem/set?size=", "mem/add?size=", "mem/getact?dump=", "disk/set?size=", "disk/add?size=", "disk/getdef?", "cpu/load?time=", "cpu/stop?id=", "cpu/getact?"}[which%9]
		for _, v := range []string{value, url.QueryEscape(value)} {
			r := httptest.NewRequest("GET", "/", nil)
			r.URL = &url.URL{Path: "/api/" + strings.Split(path, "?")[0], RawQuery: strings.Split(path, "?")[1] + v}
			answer := httptest.NewRecorder()
			w.Mux.ServeHTTP(answer, r)
			if got := answer.Body.String(); answer.Code != 200 || !answers(path[:strings.IndexByte(path, '/')]).MatchString(got) {
				t.Fatalf("%s%.100q: %d %.200q", path, v, answer.Code, got)
			}
		}
		if all := s.All(); all.Memory.Held > memoryLimit || all.Disk.Held > diskLimit {
			t.Fatalf("over the limit: %+v", all)
		}
	})
}
