package volume

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// failures are those of assay's own parts below a volume: the disk's processes,
// memory and recording, the flusher, the child that touches the files, the file
// of promises. What the volume shows after one of them has failed says nothing
// of the file system. A part that goes by design (a child that is killed, a
// flusher that is stopped) is asked before it does, so they outlive it.
type failures struct {
	mu    sync.Mutex
	noted map[string]bool // parts
	all   []error         // the first of each part
}

// note keeps the first failure of a part; nil is none.
func (f *failures) note(part string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil || f.noted[part] {
		return
	}
	if f.noted == nil {
		f.noted = map[string]bool{}
	}
	f.noted[part] = true
	f.all = append(f.all, fmt.Errorf("%s: %w", part, err))
}

func (f *failures) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.all...)
}

// Intact returns what has failed of assay's own parts below the volume. What
// assay does to them itself is no failure: a child that is killed, frozen or
// paused, a disk whose power was cut or that hangs. Once there is one it stays.
func (v *Volume) Intact(ctx context.Context) error {
	if err := v.own.err(); err != nil {
		return err
	}
	if v.disk != nil {
		if err := v.disk.Intact(ctx); err != nil {
			return err // which remembers it
		}
	}
	v.look()
	return v.own.err()
}

// look asks the parts that are in this process or its children.
func (v *Volume) look() {
	v.mu.Lock()
	w, beside := v.worker, v.beside
	v.mu.Unlock()
	if w != nil {
		v.own.note("the process that touches the files", w.Intact())
	}
	for _, c := range beside {
		v.own.note(c.name, c.Intact())
	}
	v.own.note("the file of promises", v.promised.intact())
}

// explained is err with what has failed of assay's own, if something has: what
// a broken disk does to a file system says nothing of that. ctx is not one that
// err may come from.
func (v *Volume) explained(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(v.Intact(ctx), err)
}
