package pressure

import (
	"context"
	"errors"
	"log"
	"math/big"
	"net/http"
	"sync"

	"github.com/seed-1b600011/assay/web"
)

// ServiceOptions say what a Service consumes.
type ServiceOptions struct {
	Memory MemoryOptions
	Disk   DiskOptions
	// Factor is the number that the old interface's CPU load takes apart, in
	// decimal. Empty: one that takes long.
	Factor string
	// Log is told what was asked for and what came of it; nil: nobody is.
	Log *log.Logger
}

// defaultFactor is a prime of 21 digits: dividing it by all that may divide it
// takes longer than a quarter of an hour.
const defaultFactor = "493440589722494743501"

// Service is the three consumers behind HTTP. Make one with NewService.
type Service struct {
	Memory *Memory
	Disk   *Disk
	CPU    *CPU

	log    *log.Logger
	factor *big.Int
	ctx    context.Context // of what works in the background
	stop   context.CancelFunc
	work   sync.WaitGroup
	plans  plans
	past   past

	oldMemory, oldDisk group
	oldLoad            oldLoad
}

// NewService makes the consumers. Close gives all back.
func NewService(o ServiceOptions) (*Service, error) {
	if o.Factor == "" {
		o.Factor = defaultFactor
	}
	factor, ok := new(big.Int).SetString(o.Factor, 10)
	if !ok || factor.Sign() < 0 {
		return nil, errors.New("pressure: the number to factor is no whole number in decimal: " + o.Factor)
	}
	memory, err := NewMemory(o.Memory)
	if err != nil {
		return nil, err
	}
	disk, err := NewDisk(o.Disk)
	if err != nil {
		return nil, errors.Join(err, memory.Close())
	}
	s := &Service{Memory: memory, Disk: disk, CPU: &CPU{}, log: o.Log, factor: factor}
	if s.log == nil {
		s.log = log.New(discard{}, "", 0)
	}
	if disk.Left != nil {
		s.log.Print(disk.Left)
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.past.service = s
	s.work.Go(func() { s.past.keep(s.ctx) })
	return s, nil
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// routes is a *http.ServeMux, or what a test looks at in its place.
type routes interface {
	Handle(pattern string, h http.Handler)
	HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request))
}

// Register adds the old interface, the new one, the metrics and the page to a server.
func (s *Service) Register(w *web.Server) {
	s.registerOld(w.Mux)
	s.registerAPI(w.Mux)
	s.registerPage(w.Mux)
	w.Metrics.MustRegister(metrics{s})
}

// Close ends what is under way and gives all back, files and their directory
// included.
func (s *Service) Close() error {
	s.stop()
	err := errors.Join(s.CPU.Close(), s.Memory.Close(), s.Disk.Close())
	s.work.Wait()
	return err
}
