package soft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/flakey/soft/medium"
	"github.com/seed-1b600011/assay/machine"
)

// server is a disk in its daemon: what is plugged in, and what the socket asks.
type server struct {
	config  config
	ledger  *machine.Ledger
	keeper  *keeping
	rebuilt *rebuilt      // nil: a new disk
	mounts  *mounts       // nil: this daemon makes none
	stop    func()        // ends the daemon
	alone   chan struct{} // holds one token while somebody plugs, cuts, mounts or unmounts

	patience context.Context // ends when the last users of devices are waited for no longer
	leaving  sync.WaitGroup  // devices that were pulled and that somebody may still have

	mu     sync.Mutex
	now    *plug
	clones []*plug
	faults []flakey.Fault
	cuts   int64
	ended  bool
	failed []error // what has failed of this disk itself, and is not seen elsewhere
	left   []error // of the devices that somebody still has at the end
}

var errEnded = errors.New("the disk is closed")

// begin plugs the first medium in.
func (s *server) begin(ctx context.Context, first *medium.Medium) error {
	p, err := s.plugIn(ctx)
	if err != nil {
		return err
	}
	p.insert(first)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = p
	return nil
}

func (s *server) plugIn(ctx context.Context) (*plug, error) {
	return plugIn(ctx, s.keeper, s.ledger, s.config)
}

// leave waits, away from everybody, until nobody has the device any more, and
// crosses it off the ledger; the end of the server bounds that.
func (s *server) leave(p *plug) {
	s.leaving.Go(func() {
		if err := p.loop.Detach(s.patience); err != nil {
			s.mu.Lock()
			s.left = append(s.left, err)
			s.mu.Unlock()
		}
	})
}

// lone waits until nobody else changes what is plugged in or mounted.
func (s *server) lone(ctx context.Context) (leave func(), err error) {
	select {
	case s.alone <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("another power cut, clone or mount is under way: %w", ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		<-s.alone
		return nil, errEnded
	}
	return func() { <-s.alone }, nil
}

func (s *server) current() *plug {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// do does a request, within ctx.
func (s *server) do(ctx context.Context, r request) (answer, error) {
	switch r.Op {
	case opPing:
		return answer{}, nil
	case opStats:
		st := s.current().medium.Stats()
		return answer{Stats: &st}, s.current().medium.Broken()
	case opIntact:
		return answer{Intact: s.intact()}, nil
	case opStatus:
		return answer{Status: s.status()}, nil
	case opSet:
		return answer{}, s.set(ctx, r.Faults, false)
	case opAdd:
		return answer{}, s.set(ctx, r.Faults, true)
	case opCut:
		cut, err := s.cut(ctx, r.Keep, r.Record)
		return answer{Cut: cut}, err
	case opClone:
		path, err := s.clone(ctx)
		return answer{Path: path}, err
	case opView:
		path, cut, err := s.view(ctx, r.At, r.Keep)
		return answer{Path: path, Cut: cut}, err
	case opDrop:
		return answer{}, s.drop(ctx, r.Path)
	case opMark:
		return answer{}, s.current().medium.Mark(r.Text)
	case opMount:
		return answer{}, s.mount(ctx, *r.Mount)
	case opUnmount:
		return answer{}, s.unmount(ctx, r.Path)
	case opClose:
		s.stop()
		return answer{}, nil
	}
	return answer{}, refuse("unknown operation %q", r.Op)
}

// set puts faults on, instead of those that are or beside them.
func (s *server) set(ctx context.Context, faults []flakey.Fault, beside bool) error {
	leave, err := s.lone(ctx)
	if err != nil {
		return err
	}
	defer leave()
	all := slices.Clone(faults)
	if beside {
		s.mu.Lock()
		all = append(slices.Clone(s.faults), faults...)
		s.mu.Unlock()
	}
	now := s.current()
	before := now.file.holds.Swap(true) // while old and new ones may be met
	if err := now.medium.Set(all...); err != nil {
		now.file.holds.Store(before)
		return refusal{err}
	}
	now.file.holds.Store(slices.ContainsFunc(all, holds))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = all
	return nil
}

// holds says whether a fault keeps requests waiting for so long that a daemon
// that answers none is not stuck.
func holds(f flakey.Fault) bool {
	return f.Kind == flakey.Hang || f.Kind == flakey.Delay && f.Delay > beatEvery
}

func (s *server) status() *Status {
	s.mu.Lock()
	st := &Status{Name: s.config.Name, Path: s.now.path(), Size: s.config.Size, BlockSize: s.config.BlockSize,
		PID: os.Getpid(), Cuts: s.cuts, Faults: slices.Clone(s.faults), Record: s.config.Record, From: s.config.From}
	for _, c := range s.clones {
		st.Clones = append(st.Clones, c.path())
	}
	m := s.now.medium
	s.mu.Unlock()
	if s.mounts != nil {
		st.Mounts = s.mounts.list()
	}
	st.Stats = m.Stats()
	if err := m.Broken(); err != nil {
		st.Broken = err.Error()
	}
	return st
}

// cut makes the new device first: if there is none to be had, the old one goes
// on as if nothing had been asked. What a broken medium keeps means nothing:
// it is not cut.
func (s *server) cut(ctx context.Context, k flakey.Keep, record string) (*flakey.Cut, error) {
	if err := checkKeep(k); err != nil {
		return nil, err
	}
	if record != "" && exists(record) {
		return nil, refuse("the recording %s is there already; an old one is never written over", record)
	}
	leave, err := s.lone(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	old := s.current()
	if err := old.medium.Broken(); err != nil {
		return nil, err
	}
	p, err := s.plugIn(ctx)
	if err != nil {
		return nil, err
	}
	m, cut, err := old.medium.Cut(k)
	if err != nil {
		s.leave(p)
		return nil, errors.Join(fmt.Errorf("soft: power cut: %w", err), p.pull(s.keeper))
	}
	recorded := s.rerecord(old.medium.Recorder(), m, record)
	p.insert(m)
	cut.Path = p.path()
	s.mu.Lock()
	s.now, s.faults = p, nil
	s.cuts++
	s.mu.Unlock()
	err = s.note(errors.Join(recorded, old.pull(s.keeper)))
	s.leave(old)
	if s.mounts != nil {
		err = errors.Join(err, s.mounts.again(ctx, p.path()))
	}
	return &cut, err
}

// rerecord ends the recording and begins another with what survived a cut,
// where one is wanted. The medium is not plugged in yet.
func (s *server) rerecord(old *recording.Writer, m *medium.Medium, path string) error {
	if path == "" {
		return nil
	}
	w, err := recording.Create(path, recording.Header{Size: s.config.Size, BlockSize: s.config.BlockSize, Seed: s.config.Seed})
	if err != nil {
		return fmt.Errorf("soft: record anew: %w", err)
	}
	if err := m.Record(w); err != nil {
		return errors.Join(fmt.Errorf("soft: record anew: %w", err), closeRecording(w))
	}
	s.mu.Lock()
	s.config.Record = path
	s.mu.Unlock()
	s.leaving.Go(func() { // to make it durable may take long
		if err := s.note(closeRecording(old)); err != nil {
			s.mu.Lock()
			s.left = append(s.left, err)
			s.mu.Unlock()
		}
	})
	return nil
}

func checkKeep(k flakey.Keep) error {
	switch k.Mode {
	case "", flakey.KeepNone, flakey.KeepAll, flakey.KeepPrefix, flakey.KeepRandom:
	default:
		return refuse("keep %q: want none, all, prefix or random", k.Mode)
	}
	if !(k.Probability >= 0 && k.Probability <= 1) {
		return refuse("keep with probability %v: want 0 to 1", k.Probability)
	}
	if k.Probability != 0 && k.Mode != flakey.KeepRandom {
		return refuse("keep %q with a probability: that is of random only", k.Mode)
	}
	return nil
}

func (s *server) clone(ctx context.Context) (string, error) {
	path, err := s.plugBeside(ctx, func() (*medium.Medium, error) { return s.current().medium.Clone() })
	if err != nil && !IsRefused(err) {
		err = fmt.Errorf("soft: clone: %w", err)
	}
	return path, err
}

// plugBeside plugs in a medium beside the disk's own.
func (s *server) plugBeside(ctx context.Context, make func() (*medium.Medium, error)) (string, error) {
	leave, err := s.lone(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	p, err := s.plugIn(ctx)
	if err != nil {
		return "", err
	}
	m, err := make()
	if err != nil {
		s.leave(p)
		return "", errors.Join(err, p.pull(s.keeper))
	}
	p.insert(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clones = append(s.clones, p)
	return p.path(), nil
}

func (s *server) drop(ctx context.Context, path string) error {
	leave, err := s.lone(ctx)
	if err != nil {
		return err
	}
	defer leave()
	s.mu.Lock()
	i := slices.IndexFunc(s.clones, func(p *plug) bool { return p.path() == path })
	if i < 0 {
		s.mu.Unlock()
		return refuse("no clone is at %s", path)
	}
	p := s.clones[i]
	s.clones = slices.Delete(s.clones, i, i+1)
	s.mu.Unlock()
	_ = s.note(p.medium.Broken()) // those who have used it could not tell
	s.leave(p)
	return p.pull(s.keeper)
}

func (s *server) mount(ctx context.Context, m Mount) error {
	if s.mounts == nil {
		return refuse("this disk belongs to a process that mounts it itself")
	}
	leave, err := s.lone(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.mounts.mount(ctx, s.current().path(), m)
}

func (s *server) unmount(ctx context.Context, dir string) error {
	if s.mounts == nil {
		return refuse("this disk belongs to a process that mounts it itself")
	}
	leave, err := s.lone(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.mounts.unmount(ctx, dir, machine.UnmountOptions{Patience: unmountPatience})
}

// alive takes every lock that a request takes, and so does not return in a
// daemon that is stuck.
func (s *server) alive() {
	s.mu.Lock()
	all := slices.Clone(s.clones)
	if s.now != nil { // else it is beginning
		all = append(all, s.now)
	}
	s.mu.Unlock()
	for _, p := range all {
		p.medium.Stats()
	}
}

// letGo is how long the end of a disk waits for the last users of its devices.
// One that is still mounted goes on, dead, until it is unmounted.
const letGo = 8 * time.Second

// close ends the disk: nothing is asked of it with success any more. The error
// names the devices that somebody still has.
func (s *server) close(ctx context.Context, giveUp context.CancelFunc) error {
	leave, err := s.lone(ctx)
	if err != nil {
		return err
	}
	defer leave()
	s.mu.Lock()
	s.ended = true
	all := append(slices.Clone(s.clones), s.now)
	s.mu.Unlock()
	var errs []error
	if s.mounts != nil {
		errs = append(errs, s.mounts.unmount(ctx, "", machine.UnmountOptions{Patience: deadPatience, Force: true}))
	}
	for _, p := range all {
		errs = append(errs, p.pull(s.keeper))
		s.leave(p)
	}
	enough := time.AfterFunc(letGo, giveUp)
	defer enough.Stop()
	s.leaving.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(append(errs, s.left...)...)
}
