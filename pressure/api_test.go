package pressure

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// do sends a request of the new interface and holds the answer to its
// description.
func do(t testing.TB, at, method, path, body string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequest(method, at+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
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
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s %s: %d: %q is no JSON: %v", method, path, a.StatusCode, b, err)
	}
	asDescribed(t, readOpenAPI(t), method, strings.Split(path, "?")[0], a.StatusCode, v)
	object, ok := v.(map[string]any)
	if !ok {
		object = map[string]any{"list": v}
	}
	return a.StatusCode, object
}

func TestAPI(t *testing.T) {
	s := newService(t, ServiceOptions{})
	at := serve(t, s)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string // a part of the answer
	}{
		{"GET", "/v1/state", "", 200, `"memory"`},
		{"PUT", "/v1/memory?wait=10s", `{"bytes": "3M"}`, 200, `"held":3145728`},
		{"PUT", "/v1/memory?wait=10s", `{"bytes": 4097}`, 200, `"asked":4097,"bound":"the limit set","held":8192,"limit":268435456,"working":false`},
		{"PUT", "/v1/memory?wait=10s", `{"bytes": "max"}`, 200, `"held":268435456`},
		{"PUT", "/v1/memory", `{"bytes": "257M"}`, 422, `"error":"269484032 bytes are over the limit of 268435456 bytes (the limit set)"`},
		{"PUT", "/v1/memory", `{"bytes": "full"}`, 400, `want a size or max`},
		{"PUT", "/v1/memory", `{}`, 400, `want a size`},
		{"PUT", "/v1/memory", `{"bytes": -1}`, 400, `is no size`},
		{"PUT", "/v1/memory", `{"bytes": 1e9}`, 400, `is no size`},
		{"PUT", "/v1/memory", `{"bytes": "1e9"}`, 400, `is no size`},
		{"PUT", "/v1/memory", `{"bytes": "8E"}`, 400, `too large`},
		{"PUT", "/v1/memory", `{"bytes": 99999999999999999999}`, 400, `too large`},
		{"PUT", "/v1/memory", `{"bytes": 1, "byte": 2}`, 400, `unknown field`},
		{"PUT", "/v1/memory", `{"bytes": 1} {}`, 400, `more than one`},
		{"PUT", "/v1/memory", `{"bytes": 1`, 400, `EOF`},
		{"PUT", "/v1/memory", ``, 400, `EOF`},
		{"PUT", "/v1/memory", `null`, 400, `want a size`},
		{"PUT", "/v1/memory", `{"bytes": 1, "for": 5}`, 400, `is no duration`},
		{"PUT", "/v1/memory", `{"bytes": 1, "for": "-5s"}`, 400, `is no duration`},
		{"PUT", "/v1/memory?wait=2m", `{"bytes": 1}`, 400, `wait=`},
		{"PUT", "/v1/memory?wait=x", `{"bytes": 1}`, 400, `wait=`},
		{"GET", "/v1/memory", "", 200, `"held":268435456`}, // no refusal has changed anything
		{"DELETE", "/v1/memory", "", 200, `"held":0`},
		{"PUT", "/v1/disk?wait=30s", `{"bytes": "3M", "inodes": 7}`, 200, `"inodes":7`},
		{"PUT", "/v1/disk?wait=30s", `{"inodes": 2}`, 200, `"held":3145728,"inodes":2`},
		{"PUT", "/v1/disk?wait=30s", `{"bytes": "max"}`, 200, `"held":67108864`},
		{"PUT", "/v1/disk", `{"bytes": "1G"}`, 422, `over the limit`},
		{"PUT", "/v1/disk", `{"inodes": -1}`, 400, `inodes`},
		{"PUT", "/v1/disk", `{"inodes": 1.5}`, 400, `inodes`},
		{"PUT", "/v1/disk", `{}`, 400, `want bytes`},
		{"DELETE", "/v1/disk", "", 200, `"held":0,"inodes":0`},
		{"PUT", "/v1/cpu", `{"cores": 0.2, "for": "1h"}`, 200, `"asked":0.2`},
		{"PUT", "/v1/cpu", `{"cores": 1, "percent": 10}`, 200, `"asked":0.1`},
		{"PUT", "/v1/cpu", `{"cores": 1e9}`, 422, `over the limit`},
		{"PUT", "/v1/cpu", `{"percent": 101}`, 400, `101`},
		{"PUT", "/v1/cpu", `{"cores": 1, "percent": 0}`, 400, `want more than 0`},
		{"PUT", "/v1/disk", `{"inodes": 9223372036854775807}`, 422, `inodes are over the limit`},
		{"PUT", "/v1/cpu", `{"cores": -1}`, 400, `-1`},
		{"PUT", "/v1/cpu", `{"cores": "1"}`, 400, `cores`},
		{"DELETE", "/v1/cpu", "", 200, `"asked":0,`},
		{"GET", "/v1/plan", "", 200, `[]`},
		{"POST", "/v1/plan", `{"resource": "memory", "shape": "ramp", "to": "1G", "for": "1s"}`, 422, `over the limit`},
		{"POST", "/v1/plan", `{"resource": "cpu", "shape": "ramp", "to": 1000000, "for": "1s"}`, 422, `over the limit`},
		{"POST", "/v1/plan", `{"resource": "mem", "shape": "ramp", "for": "1s"}`, 400, `want memory, disk or cpu`},
		{"POST", "/v1/plan", `{"resource": "cpu", "shape": "square", "for": "1s"}`, 400, `want ramp, steps or sine`},
		{"POST", "/v1/plan", `{"resource": "cpu", "shape": "ramp"}`, 400, `for:`},
		{"POST", "/v1/plan", `{"resource": "cpu", "shape": "steps", "for": "1s", "steps": 1}`, 400, `steps:`},
		{"POST", "/v1/plan", `{"resource": "cpu", "shape": "ramp", "for": "1s", "period": "1s"}`, 400, `period:`},
		{"POST", "/v1/plan", `{"resource": "cpu", "shape": "ramp", "for": "1s", "to": -1}`, 400, `from, to`},
		{"POST", "/v1/plan", `{"resource": "cpu", "shape": "ramp", "for": "1s", "to": "1"}`, 400, `number of cores`},
		{"POST", "/v1/plan", `{"resource": "disk", "shape": "ramp", "for": "1s", "to": "max"}`, 400, `want a size`},
		{"POST", "/v1/plan", `{"resource": "disk", "shape": "ramp", "for": "1s", "to": 1, "then": "stay"}`, 400, `then`},
		{"POST", "/v1/plan", `{"resource": "memory", "shape": "sine", "from": "1M", "to": "9M", "for": "1h", "period": "3s"}`, 202, `"shape":"sine"`},
		{"DELETE", "/v1/plan", "", 200, `[]`},
	} {
		status, got := do(t, at, c.method, c.path, c.body)
		b, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if status != c.status || !bytes.Contains(b, []byte(c.want)) {
			t.Errorf("%s %s %s: %d %s, want %d with %s", c.method, c.path, c.body, status, b, c.status, c.want)
		}
	}
	if a, err := http.Post(at+"/v1/plan", "application/json", bytes.NewReader(make([]byte, 2<<20))); err != nil || a.StatusCode != 413 {
		t.Errorf("a body of 2 MiB: %v %v", a, err)
	}
}

// TestLongQuery sends a query of 1 MiB and reads what comes back meanwhile.
func TestLongQuery(t *testing.T) {
	s := newService(t, ServiceOptions{})
	at := serve(t, s)
	c, err := net.Dial("tcp", strings.TrimPrefix(at, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		fmt.Fprintf(c, "GET /api/mem/set?size=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", strings.Repeat("9", 1<<20))
	}()
	if line, err := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 431 ") {
		t.Errorf("a query of 1 MiB: %q %v", line, err)
	}
}

func TestHeldForATime(t *testing.T) {
	s := newService(t, ServiceOptions{})
	at := serve(t, s)
	do(t, at, "PUT", "/v1/memory?wait=10s", `{"bytes": "2M", "for": "1h"}`)
	eventually(t, "it is held", func() bool { return s.Memory.Current().Held == 2*mib })
	do(t, at, "PUT", "/v1/memory?wait=10s", `{"bytes": "2M", "for": "200ms"}`)
	eventually(t, "it is released", func() bool { return s.Memory.Current().Held == 0 })
	do(t, at, "PUT", "/v1/disk?wait=10s", `{"bytes": "2M", "for": "200ms"}`)
	do(t, at, "PUT", "/v1/disk?wait=10s", `{"bytes": "1M"}`)
	time.Sleep(500 * time.Millisecond)
	if held := s.Disk.Current().Held; held != mib {
		t.Errorf("the end of an older request has released the newer: %d", held)
	}
}

func TestPlanShapes(t *testing.T) {
	for _, c := range []struct {
		p    Plan
		at   time.Duration
		want float64
	}{
		{Plan{Shape: "ramp", From: 10, To: 20, For: 10 * time.Second}, 0, 10},
		{Plan{Shape: "ramp", From: 10, To: 20, For: 10 * time.Second}, 5 * time.Second, 15},
		{Plan{Shape: "ramp", From: 20, To: 10, For: 10 * time.Second}, time.Hour, 10},
		{Plan{Shape: "steps", From: 0, To: 20, Steps: 3, For: 9 * time.Second}, 2900 * time.Millisecond, 0},
		{Plan{Shape: "steps", From: 0, To: 20, Steps: 3, For: 9 * time.Second}, 3 * time.Second, 10},
		{Plan{Shape: "steps", From: 0, To: 20, Steps: 3, For: 9 * time.Second}, 9 * time.Second, 20},
		{Plan{Shape: "sine", From: 2, To: 6, For: time.Minute, Period: 4 * time.Second}, 0, 2},
		{Plan{Shape: "sine", From: 2, To: 6, For: time.Minute, Period: 4 * time.Second}, time.Second, 4},
		{Plan{Shape: "sine", From: 2, To: 6, For: time.Minute, Period: 4 * time.Second}, 2 * time.Second, 6},
		{Plan{Shape: "sine", From: 2, To: 6, For: time.Minute}, 30 * time.Second, 6},
	} {
		if got := c.p.at(c.at); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%+v at %v: %v, want %v", c.p, c.at, got, c.want)
		}
	}
}

// TestPlansAreFollowed runs one of each and one that is stopped by another request.
func TestPlansAreFollowed(t *testing.T) {
	s := newService(t, ServiceOptions{})
	at := serve(t, s)
	most := map[string]float64{}
	// On a busy machine a plan may be over before anyone has looked.
	for try := 0; try < 100 && (most["disk"] != 3*mib || most["cpu"] < 0.05); try++ {
		for _, body := range []string{
			`{"resource": "memory", "shape": "ramp", "to": "8M", "for": "600ms"}`,
			`{"resource": "disk", "shape": "steps", "from": "1M", "to": "3M", "steps": 2, "for": "600ms", "then": "release"}`,
			`{"resource": "cpu", "shape": "sine", "to": 0.2, "for": "600ms"}`,
		} {
			do(t, at, "POST", "/v1/plan", body)
		}
		eventually(t, "the plans end", func() bool {
			all := s.All()
			most["memory"], most["disk"], most["cpu"] = max(most["memory"], float64(all.Memory.Held)), max(most["disk"], float64(all.Disk.Held)), max(most["cpu"], all.CPU.Asked)
			return len(s.plans.list()) == 0
		})
	}
	all := s.All()
	if all.Memory.Held != 8*mib || all.Disk.Held != 0 || all.CPU.Asked > 0.01 {
		t.Errorf("at the end: %+v", all)
	}
	if most["disk"] != 3*mib || most["cpu"] < 0.05 {
		t.Errorf("on the way: %v", most)
	}
	do(t, at, "POST", "/v1/plan", `{"resource": "memory", "shape": "ramp", "from": "2M", "to": "200M", "for": "1h"}`)
	if _, text := get(t, at+"/api/mem/set?size=0"); !strings.HasPrefix(text, "Memory data request sent") && text != pendingText {
		t.Error(text)
	}
	do(t, at, "PUT", "/v1/memory?wait=10s", `{"bytes": 0}`)
	time.Sleep(3 * beat)
	if held := s.Memory.Current().Held; held != 0 || len(s.plans.list()) != 0 {
		t.Errorf("a plan goes on under what was set after it: %d", held)
	}
}

func TestMetricsAndPlots(t *testing.T) {
	s := newService(t, ServiceOptions{})
	at := serve(t, s)
	if err := s.Memory.Set(t.Context(), 3*mib); err != nil {
		t.Fatal(err)
	}
	_, text := get(t, at+"/metrics")
	for _, want := range []string{`assay_pressure_held_bytes{resource="memory"} 3.145728e+06`, `assay_pressure_asked_bytes{resource="disk"} 0`,
		"assay_pressure_inodes 0", "assay_pressure_cpu_seconds_total 0", "assay_pressure_limit_cores", `assay_pressure_short{resource="memory"} 0`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the metrics:\n%s", want, text)
		}
	}
	for _, what := range []string{"memory", "disk", "cpu"} {
		if status, svg := get(t, at+"/v1/plot/"+what+"?width=300"); status != 200 || !strings.Contains(svg, `width="300"`) {
			t.Errorf("the plot of %s: %d %.100s", what, status, svg)
		}
	}
	for _, path := range []string{"/v1/plot/gpu", "/v2", "/api/mem", "/v1/plot/"} {
		if status, _ := get(t, at+path); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, page := get(t, at+"/"); status != 200 || !strings.Contains(page, `data-resource="disk"`) {
		t.Errorf("the page: %d", status)
	}
}

func readOpenAPI(t testing.TB) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(openAPI), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestOpenAPIIsServed holds the paths that are described to those that are served.
func TestOpenAPIIsServed(t *testing.T) {
	s := newService(t, ServiceOptions{})
	var served recorder
	s.registerOld(&served)
	s.registerAPI(&served)
	s.registerPage(&served)
	var want, have []string
	for path, item := range readOpenAPI(t)["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			want = append(want, strings.ToUpper(method)+" "+path)
		}
	}
	for _, pattern := range served.patterns {
		if !strings.Contains(pattern, " ") {
			pattern = "GET " + pattern // the old interface takes any method
		}
		if strings.Contains(pattern, "/v1/") || strings.Contains(pattern, "/api/") {
			have = append(have, pattern)
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(want, have) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(want, "\n"), strings.Join(have, "\n"))
	}
}

type recorder struct{ patterns []string }

func (r *recorder) Handle(pattern string, _ http.Handler) { r.patterns = append(r.patterns, pattern) }
func (r *recorder) HandleFunc(pattern string, _ func(http.ResponseWriter, *http.Request)) {
	r.patterns = append(r.patterns, pattern)
}

// asDescribed holds an answer to the schema that the description has for it.
func asDescribed(t testing.TB, doc map[string]any, method, path string, status int, v any) {
	t.Helper()
	item, _ := doc["paths"].(map[string]any)[path].(map[string]any)
	op, _ := item[strings.ToLower(method)].(map[string]any)
	if op == nil {
		t.Errorf("%s %s is not described", method, path)
		return
	}
	answer, _ := op["responses"].(map[string]any)[fmt.Sprint(status)].(map[string]any)
	if answer == nil {
		t.Errorf("%s %s may not answer with %d, as described", method, path, status)
		return
	}
	content, _ := answer["content"].(map[string]any)["application/json"].(map[string]any)
	if schema, ok := content["schema"].(map[string]any); ok {
		if why := conforms(doc, schema, v); why != "" {
			t.Errorf("%s %s: %d: %s", method, path, status, why)
		}
	}
}

// conforms is why a value is not what a schema says, as far as the words go
// that ours uses; empty if it is.
func conforms(doc, schema map[string]any, v any) string {
	if ref, ok := schema["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		next, ok := doc["components"].(map[string]any)["schemas"].(map[string]any)[name].(map[string]any)
		if !ok {
			return "no schema " + ref
		}
		return conforms(doc, next, v)
	}
	switch schema["type"] {
	case "object":
		object, ok := v.(map[string]any)
		if !ok {
			return fmt.Sprintf("%v is no object", v)
		}
		for _, name := range schema["required"].([]any) {
			if _, ok := object[name.(string)]; !ok {
				return fmt.Sprintf("%s is missing", name)
			}
		}
		for name, value := range object {
			property, ok := schema["properties"].(map[string]any)[name].(map[string]any)
			if !ok {
				return name + " is not described"
			}
			if why := conforms(doc, property, value); why != "" {
				return name + ": " + why
			}
		}
	case "array":
		list, ok := v.([]any)
		if !ok {
			return fmt.Sprintf("%v is no list", v)
		}
		for _, one := range list {
			if why := conforms(doc, schema["items"].(map[string]any), one); why != "" {
				return why
			}
		}
	case "integer", "number":
		if f, ok := v.(float64); !ok || schema["type"] == "integer" && f != math.Trunc(f) {
			return fmt.Sprintf("%v is no %s", v, schema["type"])
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return fmt.Sprintf("%v is no boolean", v)
		}
	case "string":
		text, ok := v.(string)
		if !ok {
			return fmt.Sprintf("%v is no string", v)
		}
		if schema["format"] == "date-time" && !regexp.MustCompile(`^\d{4}-\d\d-\d\dT`).MatchString(text) {
			return text + " is no time"
		}
	}
	return ""
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1536": 1536, "1K": 1024, "1.5K": 1536, "2GiB": 2 << 30, "2G": 2 << 30, "2GB": 2 << 30, "512Mi": 512 * mib, "7E": 7 << 60, "12B": 12, "0.5M": 512 << 10,
		"": -1, "-1": -1, "+1": -1, "1e9": -1, "1.5": -1, "K": -1, "1KK": -1, "1 K": -1, "1i": -1, "1iB": -1, "8E": -1, "1..5K": -1, "１": -1, "9223372036854775808": -1, "NaNK": -1, "infK": -1, "0x1": -1, "1k": -1, ".K": -1,
	} {
		got, err := ParseBytes(text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d %v, want %d", text, got, err, want)
		}
	}
}

// FuzzAPI sends bodies to the new interface: it never takes more than its limits
// and never fails but with a status that is described.
func FuzzAPI(f *testing.F) {
	for _, body := range []string{`{"bytes": "1M"}`, `{"bytes": 5, "locked": true, "for": "1ms"}`, `{"bytes": "max", "inodes": 3}`, `{"cores": 0.1, "percent": 5, "for": "1ms"}`,
		`{"resource": "memory", "shape": "sine", "from": 0, "to": "2M", "for": "10ms", "period": "3ms"}`, `{"bytes":"full"}`, `[]`, `{"bytes": {}}`, "\x00", `{"bytes":1,"bytes":2}`} {
		for which := range uint8(4) {
			f.Add(which, body)
		}
	}
	s, err := NewService(ServiceOptions{Memory: MemoryOptions{Limit: 8 * mib, Stalled: -1}, Disk: DiskOptions{Dir: f.TempDir(), Limit: 4 * mib}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	mux := http.NewServeMux()
	s.registerAPI(mux)
	doc := readOpenAPI(f)
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		target := [...][2]string{{"PUT", "/v1/memory"}, {"PUT", "/v1/disk"}, {"PUT", "/v1/cpu"}, {"POST", "/v1/plan"}}[which%4]
		if strings.Contains(strings.ToLower(body), "full") || strings.Contains(strings.ToLower(body), "inodes") && len(body) > 40 || strings.Contains(body, `\u`) {
			t.Skip("it may fill this machine's disk, as it is to")
		}
		r := httptest.NewRequest(target[0], target[1], strings.NewReader(body))
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, r)
		var v any
		if err := json.Unmarshal(answer.Body.Bytes(), &v); err != nil || answer.Code == 500 {
			t.Fatalf("%s %s %q: %d %q", target[0], target[1], body, answer.Code, answer.Body)
		}
		asDescribed(t, doc, target[0], target[1], answer.Code, v)
		if all := s.All(); all.Memory.Held > 8*mib || all.Disk.Held > 4*mib {
			t.Fatalf("over the limit: %+v", all)
		}
		if which%4 == 2 {
			_ = s.CPU.Release()
		}
	})
}
