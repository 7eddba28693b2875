package flakey

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// driver supports what it is told to, and counts what is opened.
type driver struct {
	name    string
	lacks   map[Kind]error
	opened  []Options
	failure error
}

func (d *driver) Name() string          { return d.name }
func (d *driver) Supports(k Kind) error { return d.lacks[k] }
func (d *driver) Open(_ context.Context, o Options) (Disk, error) {
	d.opened = append(d.opened, o)
	return nil, d.failure
}

var good = Options{Name: "a-b_c.9", Size: MinSize}

func TestOpenTakesTheFirstThatFits(t *testing.T) {
	noModule, noRoot := errors.New("no dm module"), errors.New("no root")
	none := &driver{name: "none", lacks: map[Kind]error{"": noRoot}}
	some := &driver{name: "some", lacks: map[Kind]error{Hang: noModule}}
	every := &driver{name: "every"}
	o := good
	o.Needs = []Kind{DropWrites, Hang}
	if _, err := Open(t.Context(), o, none, some, every); err != nil {
		t.Fatal(err)
	}
	if len(none.opened)+len(some.opened) != 0 || len(every.opened) != 1 || !reflect.DeepEqual(every.opened[0], o) {
		t.Error("opened:", none.opened, some.opened, every.opened)
	}
	if _, err := Open(t.Context(), good, none, some, every); err != nil || len(some.opened) != 1 {
		t.Error("without that need the second would do:", err)
	}
	_, err := Open(t.Context(), o, none, some)
	if !errors.Is(err, noModule) || !errors.Is(err, noRoot) {
		t.Fatal("no driver fits:", err)
	}
	for _, word := range []string{"none", "some", `"a-b_c.9"`} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %s", err, word)
		}
	}
	if _, err := Open(t.Context(), good); err == nil {
		t.Error("no driver at all, and a disk")
	}
}

// TestOpenGivesTheDriversError: a driver that fits and fails is not passed by.
func TestOpenGivesTheDriversError(t *testing.T) {
	failure := errors.New("the machine is full")
	first, second := &driver{name: "first", failure: failure}, &driver{name: "second"}
	if _, err := Open(t.Context(), good, first, second); !errors.Is(err, failure) || len(second.opened) != 0 {
		t.Error(err, second.opened)
	}
}

func TestBadOptions(t *testing.T) {
	alter := func(f func(*Options)) Options {
		o := good
		f(&o)
		return o
	}
	for _, o := range []Options{
		alter(func(o *Options) { o.Name = "" }),
		alter(func(o *Options) { o.Name = ".hidden" }),
		alter(func(o *Options) { o.Name = "a/b" }),
		alter(func(o *Options) { o.Name = "a b" }),
		alter(func(o *Options) { o.Name = "a\nb" }),
		alter(func(o *Options) { o.Name = "ä" }),
		alter(func(o *Options) { o.Name = strings.Repeat("x", 65) }),
		alter(func(o *Options) { o.Size = 0 }),
		alter(func(o *Options) { o.Size = -4096 }),
		alter(func(o *Options) { o.Size = MinSize - 4096 }),
		alter(func(o *Options) { o.Size = MinSize + 512 }),
		alter(func(o *Options) { o.Size = MaxSize + 4096 }),
		alter(func(o *Options) { o.BlockSize = 1024 }),
		alter(func(o *Options) { o.BlockSize = -512 }),
		alter(func(o *Options) { o.Cache = -1 }),
		alter(func(o *Options) { o.Memory = -1 }),
	} {
		d := &driver{name: "d"}
		if _, err := Open(t.Context(), o, d); err == nil || len(d.opened) > 0 {
			t.Errorf("%+v passed: %v", o, err)
		}
	}
	for _, o := range []Options{
		alter(func(o *Options) { o.Name = strings.Repeat("x", 64) }),
		alter(func(o *Options) { o.Size = MaxSize }),
		alter(func(o *Options) { o.BlockSize = 512 }),
		alter(func(o *Options) { o.BlockSize = 4096 }),
	} {
		if _, err := Open(t.Context(), o, &driver{}); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestKinds(t *testing.T) {
	all := Kinds()
	if len(all) != 12 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 12 {
		t.Error(all)
	}
	all[0] = "x"
	if Kinds()[0] != DropWrites {
		t.Error("a caller can change the list for others")
	}
}

// TestJSON: what stands in recordings and goes over sockets comes back the same,
// and a fault says nothing of what it does not set.
func TestJSON(t *testing.T) {
	for _, f := range []Fault{
		{Kind: Hang},
		{Kind: CorruptReads, Where: Selector{FromSector: 1, ToSector: math.MaxUint64, Probability: 0.1, Count: math.MaxInt64},
			Nth: 5, Value: 255, Flags: 32, Delay: time.Hour, Seed: math.MaxUint64},
	} {
		b, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var back Fault
		if err := json.Unmarshal(b, &back); err != nil || back != f {
			t.Errorf("%s came back as %+v: %v", b, back, err)
		}
	}
	if b, err := json.Marshal(Fault{Kind: Hang}); err != nil || string(b) != `{"kind":"hang"}` {
		t.Errorf("%s %v", b, err)
	}
	c := Cut{AtStake: 1, Kept: 2, Older: 3, Lost: 4, Path: "/dev/loop1"}
	b, err := json.Marshal(c)
	var back Cut
	if err != nil || json.Unmarshal(b, &back) != nil || back != c {
		t.Errorf("%s %v", b, err)
	}
}
