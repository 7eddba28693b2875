package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/verdict"
)

// tape is a history that a test writes, on a clock of its own.
type tape struct {
	t   *testing.T
	dir string
	w   *history.Writer
	now time.Duration
}

func newTape(t *testing.T) *tape {
	t.Helper()
	p := &tape{t: t, dir: t.TempDir(), now: time.Hour}
	var err error
	if p.w, err = history.Create(p.dir, history.Options{Clock: func() time.Duration { p.now += time.Millisecond; return p.now }}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.w.Close() })
	return p
}

func (p *tape) begin(r history.Record) uint64 {
	p.t.Helper()
	op, err := p.w.Begin(r)
	if err != nil {
		p.t.Fatal(err)
	}
	return op
}

func (p *tape) add(r history.Record) {
	p.t.Helper()
	if err := p.w.Append(r); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tape) done(phase history.Phase, r history.Record) uint64 {
	p.t.Helper()
	op := p.begin(r)
	p.add(history.Record{Op: op, Phase: phase})
	return op
}

// saw is a check's look at a path.
func (p *tape) saw(object string, s owed.Seen, file uint64) {
	p.t.Helper()
	r := s.Record(file)
	r.Verb, r.Target, r.Object = "check", "v", object
	p.add(r)
}

func (p *tape) read() History {
	return func() iter.Seq2[history.Record, error] { return history.ReadDir(p.dir) }
}

func text(t *testing.T, h History, which Records) string {
	t.Helper()
	var out bytes.Buffer
	if err := h.Text(&out, which); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func whole(file uint64, generation uint32, size int64) owed.Seen {
	return owed.Seen{Present: true, Size: size, Spans: []content.Span{{To: size, Is: content.Tag{Seed: 1, Object: file, Generation: generation}}}}
}

// story is a file that is renamed, cut and damaged, beside another, in two
// rounds. It gives what a finding on the file would rest on.
func story(p *tape) verdict.Finding {
	p.add(history.Record{Phase: history.FaultOn, Verb: "delay", Target: "v", Detail: []byte(`{"fault":"delay","options":{"For":"1s","Path":""}}`)})
	a := p.done(history.Acknowledged, history.Record{Verb: "create", Target: "v", Object: "a"})
	b := p.done(history.Acknowledged, history.Record{Verb: "create", Target: "v", Object: "b"})
	p.done(history.Synced, history.Record{Verb: "syncdir", Target: "v"})
	write := p.done(history.Acknowledged, history.Record{Verb: "write", Target: "v", Object: "a", To: 4096, Generation: 1})
	p.done(history.Acknowledged, history.Record{Verb: "write", Target: "v", Object: "b", To: 512, Generation: 1})
	p.done(history.Acknowledged, history.Record{Verb: "rename", Target: "v", Object: "a", Detail: []byte("c")})
	p.done(history.Synced, history.Record{Verb: "fsync", Target: "v", Object: "c"})
	p.done(history.Synced, history.Record{Verb: "fsync", Target: "v", Object: "b"})
	refused := p.begin(history.Record{Verb: "write", Target: "v", Object: "c", From: 4096, To: 8192, Generation: 2})
	p.add(history.Record{Op: refused, Phase: history.Refused, Detail: []byte("no space left on device")})
	p.add(history.Record{Phase: history.FaultOff, Verb: "delay", Target: "v", From: 12, Detail: []byte(`{"fault":"delay","options":{"For":"1s"}}`)})
	p.begin(history.Record{Verb: "fsync", Target: "v", Object: "c"}) // the cut comes first
	p.add(history.Record{Phase: history.Round, Verb: "power-cut", Target: "v", Object: "1", Effect: history.Ends | history.Forgets})
	file, other := owed.FileID(0, a), owed.FileID(0, b)
	p.saw("a", owed.Seen{}, 0)
	p.saw("b", whole(other, 1, 512), other)
	p.saw("c", owed.Seen{Present: true, Size: 4096, Spans: []content.Span{
		{To: 512, Is: content.Tag{Seed: 1, Object: file, Generation: 1}},
		{From: 512, To: 4096, Class: content.Zero},
	}}, file)
	p.done(history.Acknowledged, history.Record{Verb: "write", Target: "v", Object: "c", To: 4096, Generation: 3})
	p.begin(history.Record{Verb: "get", Target: "v", Object: "b"})
	return verdict.Finding{Kind: verdict.Lost, Target: "v", Object: "c", From: 512, To: 4096, Ops: []uint64{write}}
}

func TestHistory(t *testing.T) {
	p := newTape(t)
	f := story(p)
	all := `     SECONDS  OPERATION  WHAT           OUTCOME       ON WHAT
    0.000000             delay          fault begins  v, for: "1s"
    0.001000          1  create         issued        v a
    0.002000          1  create         acknowledged  v a, after 1ms
    0.003000          2  create         issued        v b
    0.004000          2  create         acknowledged  v b, after 1ms
    0.005000          3  syncdir        issued        v
    0.006000          3  syncdir        synced        v, after 1ms
    0.007000          4  write          issued        v a, bytes 0 to 4095 (4.0 KiB), generation 1
    0.008000          4  write          acknowledged  v a, bytes 0 to 4095 (4.0 KiB), generation 1, after 1ms
    0.009000          5  write          issued        v b, bytes 0 to 511 (512 B), generation 1
    0.010000          5  write          acknowledged  v b, bytes 0 to 511 (512 B), generation 1, after 1ms
    0.011000          6  rename         issued        v a to c
    0.012000          6  rename         acknowledged  v a to c, after 1ms
    0.013000          7  fsync          issued        v c
    0.014000          7  fsync          synced        v c, after 1ms
    0.015000          8  fsync          issued        v b
    0.016000          8  fsync          synced        v b, after 1ms
    0.017000          9  write          issued        v c, bytes 4096 to 8191 (4.0 KiB), generation 2
    0.018000          9  write          refused       v c, bytes 4096 to 8191 (4.0 KiB), generation 2, after 1ms, no space left on device
    0.019000             delay          fault ends    v, for: "1s", touched 12
    0.020000         10  fsync          issued        v c
    0.021000             power-cut      round ends    v, round 1, effect: ends,forgets
    0.022000             check          observed      v a, is not there
    0.023000             check          observed      v b, size 512 B, generation 1
    0.024000             check          observed      v c, size 4.0 KiB, bytes 0 to 511 generation 1, bytes 512 to 4095 zero
    0.020000         10  fsync          no outcome    v c, cut off by the end of round 1
    0.025000         11  write          issued        v c, bytes 0 to 4095 (4.0 KiB), generation 3
    0.026000         11  write          acknowledged  v c, bytes 0 to 4095 (4.0 KiB), generation 3, after 1ms
    0.027000         12  get            issued        v b
    0.027000         12  get            no outcome    v b, under way where the history ends
`
	if got := text(t, p.read(), Records{}); got != all {
		t.Errorf("got\n%s\nwant\n%s", got, all)
	}
	// without leaves out the lines of operations, and what was seen of b.
	without := func(ops ...string) string {
		kept := slices.DeleteFunc(strings.SplitAfter(all, "\n"), func(line string) bool {
			fields := strings.Fields(line)
			return len(fields) > 1 && slices.Contains(ops, fields[1]) || strings.Contains(line, "observed      v b")
		})
		return strings.Join(kept, "")
	}
	// By each of its names all of the file is shown, and nothing of the other.
	for _, name := range []string{"a", "c"} {
		if got, want := text(t, p.read(), Records{Object: name}), without("2", "5", "8", "12"); got != want {
			t.Errorf("--object %s: got\n%s\nwant\n%s", name, got, want)
		}
	}
	// A finding of the first round rests on nothing that came later.
	if got, want := text(t, p.read(), OfFinding(f)), without("1", "2", "5", "8", "9", "11", "12"); got != want {
		t.Errorf("the finding: got\n%s\nwant\n%s", got, want)
	}
	if got := text(t, p.read(), Records{Object: "c", Rounds: 1}); !strings.HasSuffix(got, "cut off by the end of round 1\n") {
		t.Errorf("the first round: got\n%s", got)
	}
	if got := text(t, p.read(), Records{Target: "w"}); strings.Count(got, "\n") != 1 {
		t.Errorf("another target:\n%s", got)
	}
}

// TestHistoryOfNames: a name that another file takes over, and a rename that a
// cut undoes.
func TestHistoryOfNames(t *testing.T) {
	p := newTape(t)
	one := p.done(history.Acknowledged, history.Record{Verb: "create", Target: "v", Object: "d/old"})
	p.done(history.Acknowledged, history.Record{Verb: "mkdir", Target: "v", Object: "d"})
	p.done(history.Acknowledged, history.Record{Verb: "mkdir", Target: "v", Object: "e"})
	p.done(history.Acknowledged, history.Record{Verb: "rename", Target: "v", Object: "d/old", Detail: []byte("d/new")})
	p.done(history.Acknowledged, history.Record{Verb: "create", Target: "v", Object: "d/old"}) // 5: another file
	p.done(history.Acknowledged, history.Record{Verb: "write", Target: "v", Object: "d/old", To: 1, Generation: 1})
	p.done(history.Refused, history.Record{Verb: "rename", Target: "v", Object: "d/new", Detail: []byte("d/third")})
	p.done(history.Acknowledged, history.Record{Verb: "write", Target: "v", Object: "d/third", To: 1, Generation: 1}) // 8: of nobody known
	p.done(history.Synced, history.Record{Verb: "syncfs", Target: "v"})
	p.add(history.Record{Phase: history.Round, Verb: "power-cut", Target: "v"})
	p.add(history.Record{Phase: history.Round, Verb: "power-cut", Target: "w"}) // the same round
	p.saw("d/old", whole(owed.FileID(0, one), 1, 512), owed.FileID(0, one))
	p.saw("d/new", owed.Seen{}, 0)
	p.done(history.Acknowledged, history.Record{Verb: "write", Target: "v", Object: "d/old", To: 1, Generation: 2}) // 10: of the first file again
	p.done(history.Acknowledged, history.Record{Verb: "write", Target: "v", Object: "d/new", To: 1, Generation: 2}) // 11: by the name
	got := map[string]bool{}
	out := text(t, p.read(), Records{Object: "d/new"})
	for line := range strings.SplitSeq(out, "\n") {
		if fields := strings.Fields(line); len(fields) > 3 && fields[2] != "observed" {
			got[fields[1]] = true
		}
	}
	for op, want := range map[string]bool{"1": true, "2": true, "3": false, "4": true, "5": false, "6": false, "7": true, "8": false, "9": true, "10": true, "11": true} {
		if got[op] != want {
			t.Errorf("operation %s is shown: %v, want %v, in\n%s", op, got[op], want, out)
		}
	}
	if strings.Count(out, "round 1") != 2 || strings.Contains(out, "round 2") {
		t.Errorf("two targets end one round:\n%s", out)
	}
}

// TestHistoryIsNotHeld: whatever its length, a record is shown before the next
// but one is read.
func TestHistoryIsNotHeld(t *testing.T) {
	read, shown := 0, 0
	h := History(func() iter.Seq2[history.Record, error] {
		return func(yield func(history.Record, error) bool) {
			for i := range 1000 {
				for _, phase := range []history.Phase{history.Issued, history.Acknowledged} {
					read++
					if !yield(history.Record{Op: uint64(i + 1), Phase: phase, Verb: "put", Object: "k"}, nil) {
						return
					}
				}
			}
		}
	})
	err := h.each(Records{}, func(entry) error {
		if shown++; read != shown {
			t.Fatalf("%d records were read before %d were shown", read, shown)
		}
		return nil
	})
	if err != nil || shown != 2000 {
		t.Errorf("%d shown, %v", shown, err)
	}
}

// TestDamagedHistory: what stands before a damage is shown, and the damage is
// an error.
func TestDamagedHistory(t *testing.T) {
	p := newTape(t)
	for range 100 {
		p.done(history.Acknowledged, history.Record{Verb: "put", Target: "b", Object: "k", To: 7, Generation: 1})
	}
	if err := p.w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(p.dir, "000001.assay")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)*9/10] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, which := range []Records{{}, {Object: "k"}} {
		var out bytes.Buffer
		var damage *history.DamageError
		if err := p.read().Text(&out, which); !errors.As(err, &damage) {
			t.Errorf("%v", err)
		}
		if n := strings.Count(out.String(), "acknowledged  b k, size 7 B, generation 1"); n < 20 || n > 99 {
			t.Errorf("%d records are shown", n)
		}
	}
}

// TestHistoryWithCheckpoint: what is folded is counted, and times go on.
func TestHistoryWithCheckpoint(t *testing.T) {
	p := newTape(t)
	for range 10 {
		p.done(history.Acknowledged, history.Record{Verb: "put", Target: "b", Object: "k", To: 7, Generation: 1})
	}
	book, err := owed.Fold(p.read()(), func(string) owed.Rule { return owed.Rule{} })
	if err != nil {
		t.Fatal(err)
	}
	if err := p.w.Checkpoint(book.Checkpoint()); err != nil {
		t.Fatal(err)
	}
	p.done(history.Acknowledged, history.Record{Verb: "delete", Target: "b", Object: "k"})
	out := text(t, p.read(), Records{Object: "k"})
	if strings.Contains(out, "put") || !strings.Contains(out, "records, which are not shown") ||
		!strings.Contains(out, "11  delete         issued        b k\n") || strings.Contains(out, "  0.00000") || strings.Contains(out, "-") {
		t.Errorf("\n%s", out)
	}
}

// TestHistoryAsJSON: an object a line, with what the text has.
func TestHistoryAsJSON(t *testing.T) {
	p := newTape(t)
	f := story(p)
	var out bytes.Buffer
	if err := p.read().JSON(&out, OfFinding(f)); err != nil {
		t.Fatal(err)
	}
	var all []Entry
	d := json.NewDecoder(&out)
	d.DisallowUnknownFields()
	for d.More() {
		var e Entry
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Phase == "observed" && e.Object == "c" })
	if i < 0 || len(all[i].Seen.Pieces) != 2 || all[i].Seen.Pieces[1].Class != "zero" || all[i].Seen.Pieces[0].Generation != 1 {
		t.Errorf("what the check saw: %+v", all)
	}
	if i := slices.IndexFunc(all, func(e Entry) bool { return e.UnderWay && e.Round == 1 && e.Verb == "fsync" }); i < 0 {
		t.Errorf("what the cut ended: %+v", all)
	}
	if all[2].Phase != "acknowledged" && all[2].Phase != "synced" || all[2].Took != 0.001 {
		t.Errorf("%+v", all[2])
	}
}
