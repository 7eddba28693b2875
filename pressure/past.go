package pressure

import (
	"context"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/web"
)

// past is what the consumers did in the last minutes, for plots.
type past struct {
	service *Service
	mu      sync.Mutex
	moments []moment
}

type moment struct {
	at time.Time
	States
}

const remembered = 600 // moments, a second apart

// keep looks once a second until ctx ends.
func (p *past) keep(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		m := moment{time.Now(), p.service.All()}
		p.mu.Lock()
		p.moments = append(p.moments[max(0, len(p.moments)-remembered+1):], m)
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// line is what one line of a plot shows of a moment.
type line struct {
	name  string
	faint bool
	value func(States) float64
}

// plot draws the last minutes of a resource; ok is false for no resource.
func (p *past) plot(what string, width int) (plot web.Plot, ok bool) {
	var lines []line
	bytes := func(of func(States) State) []line {
		return []line{
			{"limit", true, func(s States) float64 { return float64(of(s).Limit) }},
			{"asked", false, func(s States) float64 { return float64(of(s).Asked) }},
			{"held", false, func(s States) float64 { return float64(of(s).Held) }},
		}
	}
	plot = web.Plot{Unit: web.Bytes, Width: width}
	switch what {
	case "memory":
		plot.Title, lines = "Memory", bytes(func(s States) State { return s.Memory })
	case "disk":
		plot.Title, lines = "Disk", bytes(func(s States) State { return s.Disk.State })
	case "cpu":
		plot.Title, plot.Unit = "Cores", web.Number
		lines = []line{
			{"limit", true, func(s States) float64 { return s.CPU.Limit }},
			{"asked", false, func(s States) float64 { return s.CPU.Asked }},
			{"used", false, func(s States) float64 { return s.CPU.Held }},
		}
	default:
		return plot, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range lines {
		s := web.Series{Name: l.name, Faint: l.faint}
		for _, m := range p.moments {
			s.Points = append(s.Points, web.Point{At: m.at, Value: l.value(m.States)})
		}
		plot.Series = append(plot.Series, s)
	}
	return plot, true
}
