package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/volume/worker"
)

// Fault model: what each fault of a disk can and cannot do is told in package
// flakey. Here they are set for a time, on the whole disk, on some sectors, or
// on those that a file has at the moment when the fault begins.

// where are the options that say which requests a fault touches.
type where struct {
	Sectors     string  `yaml:"sectors" doc:"FROM-TO: only requests in these sectors of 512 bytes, TO left out; default: the whole disk"`
	Path        string  `yaml:"path" doc:"only requests in the sectors that this file, below the volume's files, has when the fault begins"`
	Probability float64 `yaml:"probability" doc:"of each request to be touched; default 1" min:"0" max:"1"`
	Count       int64   `yaml:"count" doc:"how many requests are touched at most; default: no limit" min:"0" max:"1000000000000"`
}

// Validate wants one place.
func (w *where) Validate() error {
	if w.Sectors != "" && w.Path != "" {
		return errors.New("sectors and path both say where: want one")
	}
	_, err := w.selector()
	return err
}

func (w *where) selector() (flakey.Selector, error) {
	s := flakey.Selector{Probability: w.Probability, Count: w.Count}
	if w.Sectors == "" {
		return s, nil
	}
	from, to, ok := strings.Cut(w.Sectors, "-")
	var err error
	if s.FromSector, err = strconv.ParseUint(from, 10, 63); err != nil || !ok {
		return s, fmt.Errorf("sectors %q: want FROM-TO, such as 2048-4096", w.Sectors)
	}
	if s.ToSector, err = strconv.ParseUint(to, 10, 63); err != nil || s.ToSector <= s.FromSector {
		return s, fmt.Errorf("sectors %q: want FROM-TO with a TO above FROM", w.Sectors)
	}
	return s, nil
}

// corrupting are the options of the faults that alter data.
type corrupting struct {
	where
	Byte  int `yaml:"byte" doc:"which byte of each request is replaced, from 1; default: one bit, drawn, is flipped" min:"0" max:"1048576"`
	Value int `yaml:"value" doc:"by what the byte is replaced" min:"0" max:"255"`
}

type delaying struct {
	where
	Time scenario.Duration `yaml:"time" doc:"how long every request waits; default 10ms" min:"1"`
}

// faults are what is on, on one disk.
type faults struct {
	mu   sync.Mutex
	on   []*diskFault
	made int // so far
	// lied counts what faults under which a disk breaks its word have touched.
	lied map[flakey.Kind]int64
}

// diskFault is one that is on.
type diskFault struct {
	v       *Volume
	kind    flakey.Kind
	id      string         // by which the disk counts it
	list    []flakey.Fault // one for each run of sectors
	touched int64          // valid once it is off
	off     bool
}

// lies are the faults under which a disk breaks its word. Those that it tells
// of (errors) or that only take time are none.
func lies(k flakey.Kind) bool {
	switch k {
	case flakey.ErrorWrites, flakey.ErrorReads, flakey.ErrorFlushes, flakey.Delay, flakey.Hang:
		return false
	}
	return true
}

func needsDisk(fault string) bool {
	return fault == powerCutName || slices.Contains(flakey.Kinds(), flakey.Kind(fault))
}

// effects are what faults allow a file system to do with what it has
// acknowledged. Under requests that fail it may drop what was not synced and
// report it at the next sync only, or give up as a whole: one metadata read that
// fails shuts xfs down. Requests that hang may fail when what waits for them is
// killed. The others take time, or break the disk's word, which allows nothing.
var effects = map[flakey.Kind]history.Effect{
	flakey.ErrorWrites:  history.Drops,
	flakey.ErrorReads:   history.Drops,
	flakey.ErrorFlushes: history.Drops,
	flakey.Hang:         history.Drops,
}

// shown is what a plan must have for the fault to be seen at all. Flushes that
// are dropped change nothing that a reader sees until a power cut.
func shown(k flakey.Kind) func(*scenario.Spec, scenario.FaultUse) error {
	if k != flakey.DropFlushes {
		return nil
	}
	return func(s *scenario.Spec, use scenario.FaultUse) error {
		for _, f := range s.Faults {
			if f.Fault.Name == powerCutName && (f.Aim.On == "" || use.Aim.On == "" || f.Aim.On == use.Aim.On) {
				return nil
			}
		}
		return errors.New("nothing can show it without a power-cut of the same volume")
	}
}

func registerFaults(r *scenario.Registry) {
	docs := map[flakey.Kind]string{
		flakey.DropWrites:      "writes are acknowledged and not done",
		flakey.DropFlushes:     "flushes are acknowledged and not done",
		flakey.ErrorWrites:     "writes fail",
		flakey.ErrorReads:      "reads fail",
		flakey.ErrorFlushes:    "flushes fail",
		flakey.CorruptReads:    "reads give altered data",
		flakey.CorruptWrites:   "writes store altered data",
		flakey.TearWrites:      "of a write only the first part is done",
		flakey.MisdirectWrites: "writes go to another place",
		flakey.StaleReads:      "reads give what was last made durable",
		flakey.Delay:           "every request waits",
		flakey.Hang:            "requests wait until the fault is taken away",
	}
	for _, k := range flakey.Kinds() {
		var options any = where{}
		switch k {
		case flakey.CorruptReads, flakey.CorruptWrites:
			options = corrupting{}
		case flakey.Delay:
			options = delaying{Time: scenario.Duration(10 * time.Millisecond)}
		}
		r.Fault(scenario.Fault{Name: string(k), Doc: "the disk: " + docs[k], Target: scenario.VolumeKind, Options: options,
			Effect: effects[k], Shown: shown(k),
			Inject: func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) (scenario.Injected, error) {
				return l.(*Volume).inject(ctx, k, options)
			}})
	}
}

// inject puts a fault on the disk, beside those that are on.
func (v *Volume) inject(ctx context.Context, k flakey.Kind, options any) (scenario.Injected, error) {
	f := flakey.Fault{Kind: k}
	var w *where
	switch o := options.(type) {
	case *where:
		w = o
	case *corrupting:
		w, f.Nth, f.Value = &o.where, o.Byte, byte(o.Value)
	case *delaying:
		w, f.Delay = &o.where, time.Duration(o.Time)
	}
	var err error
	if f.Where, err = w.selector(); err != nil {
		return nil, err
	}
	list := []flakey.Fault{f}
	if w.Path != "" {
		if list, err = v.onFile(ctx, f, w.Path); err != nil {
			return nil, err
		}
	}
	v.faults.mu.Lock()
	defer v.faults.mu.Unlock()
	seed := v.env.Plan.Draw("fault", v.Name(), string(k)).Index(uint64(v.faults.made))
	for i := range list {
		list[i].Seed = seed.Index(uint64(i))
	}
	// A call that is given up may be heeded all the same: a fault that nothing takes
	// away would then meet the disk when it is healed. Calls of a disk are bounded.
	return v.faults.set(context.WithoutCancel(ctx), v, k, list)
}

// set puts the faults on the disk, counted apart from all others.
func (s *faults) set(ctx context.Context, v *Volume, k flakey.Kind, list []flakey.Fault) (*diskFault, error) {
	s.made++
	d := &diskFault{v: v, kind: k, id: fmt.Sprintf("%s-%d", k, s.made), list: list}
	for i := range d.list {
		d.list[i].ID = d.id
	}
	if err := v.disk.Set(ctx, s.with(d)...); err != nil {
		if !soft.IsRefused(err) { // it may be on, or come on later
			v.own.note("a fault that was to be put on", err)
		}
		return nil, err
	}
	s.on = append(s.on, d)
	return d, nil
}

// onFile is the fault on each run of sectors that a file has.
func (v *Volume) onFile(ctx context.Context, f flakey.Fault, path string) ([]flakey.Fault, error) {
	w, err := v.at()
	if err != nil {
		return nil, err
	}
	sectors, errno, err := w.Sectors(ctx, v.below(path))
	if err != nil {
		return nil, err
	}
	if errno != 0 {
		return nil, fmt.Errorf("the sectors of %s: %w", path, errno)
	}
	if len(sectors) == 0 {
		return nil, fmt.Errorf("%s has no sectors on the disk (yet): let the fault begin after it was written and synced", path)
	}
	var list []flakey.Fault
	for _, s := range sectors {
		one := f
		one.Where.FromSector, one.Where.ToSector = s.From, s.To
		list = append(list, one)
	}
	return list, nil
}

// hanging tells whether the disk holds requests up.
func (v *Volume) hanging() bool {
	v.faults.mu.Lock()
	defer v.faults.mu.Unlock()
	return slices.ContainsFunc(v.faults.on, func(d *diskFault) bool { return d.kind == flakey.Hang })
}

// with are all faults that are on and these.
func (s *faults) with(more ...*diskFault) (all []flakey.Fault) {
	for _, d := range append(slices.Clone(s.on), more...) {
		all = append(all, d.list...)
	}
	return all
}

// Touched is how many requests of the disk the fault has acted on.
func (d *diskFault) Touched(ctx context.Context) (int64, error) {
	d.v.faults.mu.Lock()
	defer d.v.faults.mu.Unlock()
	if d.off {
		return d.touched, nil
	}
	st, err := d.v.disk.Stats(ctx)
	return st.TouchedBy[d.id], err
}

// Stop takes it away.
func (d *diskFault) Stop(ctx context.Context) error {
	s := &d.v.faults
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := d.v.disk.Stats(ctx)
	if err == nil {
		d.touched = st.TouchedBy[d.id]
		if lies(d.kind) && d.touched > 0 {
			if s.lied == nil {
				s.lied = map[flakey.Kind]int64{}
			}
			s.lied[d.kind] += d.touched
		}
	}
	d.off = true
	s.on = slices.DeleteFunc(s.on, func(o *diskFault) bool { return o == d })
	if set := d.v.disk.Set(ctx, s.with()...); set != nil {
		d.v.own.note("a fault that was to be taken away", set)
		err = errors.Join(err, set)
	}
	return err
}

// blame is which layer broke a promise, as far as it can be known.
func (v *Volume) blame() string {
	if v.disk == nil {
		return ""
	}
	if !v.lying() {
		return "the file system: the disk did all that it acknowledged, and told of what it did not do"
	}
	v.faults.mu.Lock()
	defer v.faults.mu.Unlock()
	var told []string
	for _, k := range flakey.Kinds() {
		if n := v.faults.lied[k]; n > 0 {
			told = append(told, fmt.Sprintf("%s touched %d requests", k, n))
		}
	}
	return "the disk, which broke its word: " + strings.Join(told, ", ")
}

// lying tells whether a fault under which the disk breaks its word has touched
// anything in this run.
func (v *Volume) lying() bool {
	v.faults.mu.Lock()
	defer v.faults.mu.Unlock()
	return len(v.faults.lied) > 0
}

var _ scenario.Injected = (*diskFault)(nil)

// At asks to be told at exactly so many more writes or flushes of the disk: a
// fault of its own holds the request that reaches the count until on is called.
func (v *Volume) At(of string, more int64) (<-chan struct{}, func(), error) {
	if v.disk == nil {
		return nil, nil, fmt.Errorf("it is on no breakable disk, so nothing counts its %s", of)
	}
	ctx, cancel := context.WithTimeout(context.Background(), worker.Bound)
	defer cancel()
	v.faults.mu.Lock()
	defer v.faults.mu.Unlock()
	hold, err := v.faults.set(ctx, v, flakey.Hang, []flakey.Fault{{Kind: flakey.Hang, Where: flakey.Selector{Only: flakey.Sort(of), Skip: more - 1}}})
	if err != nil {
		return nil, nil, err
	}
	ready, done := make(chan struct{}), make(chan struct{})
	go hold.await(ready, done)
	return ready, sync.OnceFunc(func() {
		close(done)
		ctx, cancel := context.WithTimeout(context.Background(), worker.Bound)
		defer cancel()
		_ = hold.Stop(ctx) // of a disk without power there is nothing to take away
	}), nil
}

// await closes ready when the fault has touched a request.
func (d *diskFault) await(ready, done chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), worker.Bound)
		n, err := d.Touched(ctx)
		cancel()
		if err == nil && n > 0 {
			close(ready)
			return
		}
	}
}
