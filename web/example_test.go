package web_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/web"
)

// A server with a page of its own beside /healthz and /metrics.
func Example() {
	s, err := web.Listen(web.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Mux.Handle("GET /{$}", web.Page{Title: "Hello", Body: "<p>there"})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	served := make(chan error)
	go func() { served <- s.Serve(ctx) }()

	answer, err := http.Get(s.URL() + "/")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	fmt.Println(answer.StatusCode, strings.Contains(string(text), "<p>there"))
	stop()
	fmt.Println(<-served)
	// Output:
	// 200 true
	// <nil>
}

// A drawing that a page can hold and a browser can open.
func ExamplePlot() {
	at := time.Unix(1_700_000_000, 0).UTC()
	p := web.Plot{Title: "Latency", Unit: web.Seconds, Series: []web.Series{{Name: "/data", Points: []web.Point{
		{At: at, Value: 0.001}, {At: at.Add(time.Second), Value: 0.004},
	}}}, Marks: []web.Mark{{At: at.Add(time.Second), Text: "input/output error"}}}
	var b strings.Builder
	if err := p.SVG(&b); err != nil {
		fmt.Println(err)
	}
	fmt.Println(b.String()[:5], strings.Contains(b.String(), "input/output error"))
	// Output: <svg  true
}
