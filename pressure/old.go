package pressure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/web"
)

// The old interface: GET with a query, answers in plain text, always with the
// status 200. Its words are part of it; docs/pressure.md tells where it is from.

const (
	busyText    = "Server busy, try again later\n"
	pendingText = "Server contains pending request, try again later\n"
)

// group is memory or disk as the old interface sees it.
type group struct {
	answering sync.Mutex // one request is answered at a time
	mu        sync.Mutex // of what follows
	pending   bool
	id        int64
	counts    [5]uint64 // that the last request came to
}

func (g *group) is() (pending bool, id int64, counts [5]uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pending, g.id, g.counts
}

// consumer is what a group consumes, with the words that it is told of in.
type consumer struct {
	group  *group
	parts  partSizes
	state  func() State
	set    func(ctx context.Context, counts [5]uint64) error
	sample func() []byte

	refused              string // over the limit
	sent, check, defined string
	actual               string
}

func (s *Service) memoryConsumer() *consumer {
	p := memoryParts()
	return &consumer{group: &s.oldMemory, parts: p, state: s.Memory.Current,
		set: func(ctx context.Context, counts [5]uint64) error {
			sum, _ := p.sum(counts) // below the limit
			return s.Memory.Set(ctx, int64(sum))
		},
		sample:  func() []byte { return s.Memory.Sample(sampled) },
		refused: "Could not compute memory parts", sent: "Memory data", check: "mem",
		defined: "Boxes", actual: "Parts",
	}
}

func (s *Service) diskConsumer() *consumer {
	p := diskParts()
	return &consumer{group: &s.oldDisk, parts: p, state: func() State { return s.Disk.Current().State },
		set: func(ctx context.Context, counts [5]uint64) error {
			return s.Disk.SetFiles(ctx, p.list(counts))
		},
		refused: "Could not compute file distribution", sent: "File data", check: "disk",
		defined: "Files", actual: "Files",
	}
}

func (s *Service) registerOld(mux routes) {
	for name, c := range map[string]*consumer{"mem": s.memoryConsumer(), "disk": s.diskConsumer()} {
		set := web.SameSite(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { plain(w, s.oldSet(c, r)) }))
		mux.Handle("/api/"+name+"/set", set)
		mux.Handle("/api/"+name+"/add", set) // an older name
		mux.HandleFunc("/api/"+name+"/getdef", func(w http.ResponseWriter, _ *http.Request) { plain(w, c.quietly(c.def)) })
		mux.HandleFunc("/api/"+name+"/getact", func(w http.ResponseWriter, r *http.Request) {
			plain(w, c.quietly(func() string { return c.act(r.URL.Query().Has("dump")) }))
		})
	}
	mux.Handle("/api/cpu/load", web.SameSite(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { plain(w, s.loadCPU(r)) })))
	mux.Handle("/api/cpu/stop", web.SameSite(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { plain(w, s.stopCPU(r)) })))
	mux.HandleFunc("/api/cpu/getact", func(w http.ResponseWriter, _ *http.Request) { plain(w, s.actCPU()) })
}

func plain(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, text)
}

// quietly answers unless another request of the group is being answered or
// worked on.
func (c *consumer) quietly(answer func() string) string {
	if !c.group.answering.TryLock() {
		return busyText
	}
	defer c.group.answering.Unlock()
	if pending, _, _ := c.group.is(); pending || c.state().Working {
		return pendingText
	}
	return answer()
}

// oldSet answers at once and works in the background.
func (s *Service) oldSet(c *consumer, r *http.Request) string {
	return c.quietly(func() string {
		text := r.URL.Query().Get("size")
		if text == "" {
			return "Could not get size: it is not specified: size=<number of bytes>\n"
		}
		size, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Sprintf("Could not get size: %s\n", err)
		}
		st := c.state()
		counts, ok := c.parts.fit(size, uint64(max(st.Limit, st.Held)))
		if !ok {
			return fmt.Sprintf("%s: Size requested is over the limit: requested %d bytes, limit: %d bytes.\n", c.refused, size, st.Limit)
		}
		id := time.Now().UnixNano()
		c.group.mu.Lock()
		c.group.pending, c.group.id, c.group.counts = true, id, counts
		c.group.mu.Unlock()
		s.plans.stop(c.check)
		s.work.Go(func() { s.oldWork(c, id, counts) })
		return fmt.Sprintf("%s request sent for %d bytes, with id#: %d, check /api/%s/getact\n", c.sent, size, id, c.check)
	})
}

// oldWork reaches the parts. If there is less to be had, what is there ends
// with a whole part.
func (s *Service) oldWork(c *consumer, id int64, counts [5]uint64) {
	defer func() {
		c.group.mu.Lock()
		c.group.pending = false
		c.group.mu.Unlock()
	}()
	began := time.Now()
	err := c.set(s.ctx, counts)
	var short *ShortError
	if errors.As(err, &short) {
		err = errors.Join(err, c.set(s.ctx, c.parts.within(uint64(c.state().Held), counts)))
	}
	if err != nil && s.ctx.Err() == nil {
		s.log.Printf("request %d: %v", id, err)
		return
	}
	s.log.Printf("request %d: done in %v", id, time.Since(began).Round(time.Millisecond))
}

// def tells what the last request came to.
func (c *consumer) def() string {
	_, _, counts := c.group.is()
	var text string
	for i, n := range counts {
		text += fmt.Sprintf("%s of size: %d, count: %d, total size: %d\n", c.defined, c.parts.sizes[i], n, n*c.parts.sizes[i])
	}
	sum, _ := c.parts.sum(counts)
	return text + fmt.Sprintf("Total size reserved: %d bytes.\n", sum)
}

// sampled is how many bytes getact shows when it is asked for some.
const sampled = 64

// act tells what is held. What the new interface has set is told in the parts
// that it comes nearest to from below.
func (c *consumer) act(dump bool) string {
	_, id, counts := c.group.is()
	held := uint64(c.state().Held)
	if sum, _ := c.parts.sum(counts); sum != held {
		counts = c.parts.within(held, c.parts.split(held))
	}
	text := fmt.Sprintf("Last request ID: %d\n", id)
	for i, n := range counts {
		text += fmt.Sprintf("%s of size: %d, Count: %d\n", c.actual, c.parts.sizes[i], n)
	}
	if dump && c.sample != nil {
		text += fmt.Sprintf("Data: %x\n", c.sample())
	}
	return text + fmt.Sprintf("Total size: %d bytes.\n", held)
}
