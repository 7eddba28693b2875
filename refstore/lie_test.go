package refstore

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/seed"
)

// place is one bucket as a reader sees it, under the names of the front.
type place struct {
	store          *Store
	bucket, prefix string
}

// sight is what a reader sees of a key.
type sight struct {
	present, listed bool
	content, etag   string
}

func (p place) sights(t *testing.T) map[string]sight {
	t.Helper()
	all := map[string]sight{}
	page, err := p.store.List(p.bucket, ListQuery{Prefix: p.prefix, Max: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range page.Keys {
		all[k.Name[len(p.prefix):]] = sight{listed: true}
	}
	for i := range liedKeys {
		key := liedKey(i)
		s := all[key]
		answer := p.store.Do(p.bucket, p.prefix+key, Op{Verb: Get})
		if answer.Err == nil {
			s.present, s.etag, s.content = true, answer.Version.ETag, contentOf(t, answer.Version)
			answer.Version.Body.Release()
		} else if answer.Err != ErrNoSuchKey {
			t.Fatal(answer.Err)
		}
		all[key] = s
	}
	return all
}

const liedKeys = 12

func liedKey(i int) string { return fmt.Sprintf("k/%02d", i) }

// liar is a front with a backend, and what both should hold.
type liar struct {
	front, backend place
	owed           map[string]string
	last           string // put before
}

func newLiar(t *testing.T) *liar {
	t.Helper()
	front := newTestStore(t)
	far := NewStore(front.bodies, StoreOptions{KeyMax: backendKeyMax})
	if err := front.AddBackend("far", far, "cloud"); err != nil {
		t.Fatal(err)
	}
	if err := front.CreateBucket("bucket", "far"); err != nil {
		t.Fatal(err)
	}
	return &liar{place{front, "bucket", ""}, place{far, "cloud", "bucket/"}, map[string]string{}, ""}
}

// step does operation number i, drawn from s, and gives its verb and key.
func (l *liar) step(t *testing.T, s seed.Seed, i uint64) (Verb, string) {
	t.Helper()
	key := liedKey(int(s.For("key").Below(i, liedKeys)))
	if s.For("verb").Chance(i, 0.3) {
		if answer := l.front.store.Do("bucket", key, Op{Verb: Delete}); answer.Err != nil {
			t.Fatal(answer.Err)
		}
		delete(l.owed, key)
		return Delete, key
	}
	content := string(noise(s.Index(i), int(1+s.For("size").Below(i, 6000)))) // some are spilled
	if v := putString(t, l.front.store, "bucket", key, content); v.ETag != etagOf(content) {
		t.Fatalf("put %s: acknowledged with ETag %s", key, v.ETag)
	}
	l.owed[key] = content
	return Put, key
}

// wrong is the keys of a place that are not as owed.
func (l *liar) wrong(sights map[string]sight) map[string]bool {
	wrong := map[string]bool{}
	for key, s := range sights {
		content, present := l.owed[key]
		want := sight{present: present, listed: present, content: content}
		if present {
			want.etag = etagOf(content)
		}
		if s != want {
			wrong[key] = true
		}
	}
	return wrong
}

// looksLike tells whether a lie of that kind left key as it should, given what
// was seen of it before.
func (l *liar) looksLike(kind Kind, key string, before, now map[string]sight) bool {
	owed, s, was := l.owed[key], now[key], before[key]
	switch kind {
	case Lose:
		return s == sight{}
	case Stale:
		return s == was && s.present && s.content != owed
	case Swap:
		return s.content == l.owed[l.last] && now[l.last].content == owed &&
			s.etag == etagOf(owed) && now[l.last].etag == etagOf(l.owed[l.last])
	case Flip:
		if len(s.content) != len(owed) || s.etag != etagOf(owed) {
			return false
		}
		turned := 0
		for i := range len(owed) {
			turned += bits.OnesCount8(s.content[i] ^ owed[i])
		}
		return turned == 1
	case WrongETag:
		return s.content == owed && s.etag != etagOf(owed) && len(s.etag) == 32
	case Resurrect:
		return s == was && s.present
	case ListHides:
		return s.content == owed && s.etag == etagOf(owed) && !s.listed && !was.listed
	case ListInvents:
		return !s.present && s.listed
	}
	return false
}

// Every kind, at both places, over a random workload, looked at after each
// operation: what a lie says it touched is wrong as its kind says, all else is
// as owed, and what is written again is right again.
func TestLies(t *testing.T) {
	steps := uint64(300)
	if full() {
		steps = 5000
	}
	for _, at := range []string{AtStore, AtBackend} {
		for _, kind := range append(Kinds(), "") {
			t.Run(fmt.Sprintf("%s at %q", kind, at), func(t *testing.T) {
				s := seed.Seed(3).For(string(kind), at)
				l := newLiar(t)
				touched := func() int64 { return 0 }
				if kind != "" {
					told, err := l.front.store.Lie(Lie{Kind: kind, At: at, Probability: 0.3, Seed: s})
					if err != nil {
						t.Fatal(err)
					}
					touched = func() int64 { n, _ := told.Touched(); return n }
				}
				lied, honest := l.front, l.backend
				if at == AtBackend {
					lied, honest = honest, lied
				}
				wrong, before, count := map[string]bool{}, lied.sights(t), int64(0)
				for i := range steps {
					verb, key := l.step(t, s, i)
					now := lied.sights(t)
					delete(wrong, key)
					if touched() > count {
						count++
						wrong[key] = true
						if kind == Swap {
							wrong[l.last] = true
						}
						if !l.looksLike(kind, key, before, now) {
							t.Fatalf("step %d: %s is not as the lie says", i, key)
						}
					}
					if got := l.wrong(now); touched() != count || !equalSets(got, wrong) {
						t.Fatalf("step %d on %s: wrong %v, want %v; touched %d, want %d", i, key, got, wrong, touched(), count)
					}
					if got := l.wrong(honest.sights(t)); len(got) > 0 {
						t.Fatalf("step %d: wrong where no lie was told: %v", i, got)
					}
					if verb == Put {
						l.last = key
					}
					before = now
				}
				if kind != "" && count < int64(steps)/100 {
					t.Errorf("touched only %d requests", count)
				}
			})
		}
	}
}

func equalSets(a, b map[string]bool) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}

// lost puts n keys and gives those that are not there afterwards.
func lost(t *testing.T, s *Store, bucket string, n int) (gone []string) {
	t.Helper()
	for i := range n {
		putString(t, s, bucket, fmt.Sprint("k", i), fmt.Sprint("content ", i))
	}
	for i := range n {
		if _, ok := getString(t, s, bucket, fmt.Sprint("k", i)); !ok {
			gone = append(gone, fmt.Sprint("k", i))
		}
	}
	return gone
}

func TestLieChoosesItsRequests(t *testing.T) {
	store := newTestStore(t)
	for _, b := range []string{"one", "two"} {
		if err := store.CreateBucket(b, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		lie  Lie
		want []string
	}{
		{Lie{Count: 2}, []string{"k0", "k1"}},
		{Lie{Count: 2, AfterRequests: 3}, []string{"k3", "k4"}},
		{Lie{Key: "k?", AfterRequests: 8}, []string{"k8", "k9"}},
		{Lie{Key: "k1[12]"}, []string{"k11", "k12"}},
		{Lie{Bucket: "one", Count: 1}, []string{"k0"}},
		{Lie{Bucket: "two"}, nil},
		{Lie{At: AtBackend}, nil}, // the bucket has no backend
		{Lie{Probability: 1e-9}, nil},
	} {
		c.lie.Kind = Lose
		told, err := store.Lie(c.lie)
		if err != nil {
			t.Fatal(err)
		}
		got := lost(t, store, "one", 20)
		n, keys := told.Touched()
		if !slices.Equal(got, c.want) || n != int64(len(got)) || !slices.Equal(keys, got) {
			t.Errorf("%+v: lost %v, told %d %v, want %v", c.lie, got, n, keys, c.want)
		}
		told.Stop()
		if got := lost(t, store, "one", 20); got != nil {
			t.Errorf("%+v: lost %v after its end", c.lie, got)
		}
	}
}

func TestLieIsDrawnFromItsSeed(t *testing.T) {
	draw := func(s seed.Seed) []string {
		store := newTestStore(t)
		if err := store.CreateBucket("one", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Lie(Lie{Kind: Lose, Probability: 0.25, Seed: s}); err != nil {
			t.Fatal(err)
		}
		return lost(t, store, "one", 400)
	}
	a, b, c := draw(1), draw(1), draw(2)
	if !slices.Equal(a, b) || slices.Equal(a, c) {
		t.Errorf("the same seed touched %v and %v, another %v", a, b, c)
	}
	if len(a) < 50 || len(a) > 150 {
		t.Errorf("probability 1/4 touched %d of 400", len(a))
	}
}

func TestLieRefusesNonsense(t *testing.T) {
	store := newTestStore(t)
	for want, l := range map[string]Lie{
		"want one of": {Kind: "fib"}, "store or backend": {Kind: Lose, At: "moon"}, "syntax error": {Kind: Lose, Key: "["},
		"0 to 1": {Kind: Lose, Probability: 1.5}, "probability NaN": {Kind: Lose, Probability: math.NaN()}, "negative": {Kind: Lose, Count: -1},
	} {
		if _, err := store.Lie(l); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", l, err, want)
		}
	}
	if _, err := store.Lie(Lie{Kind: Lose, At: "store"}); err != nil {
		t.Error(err)
	}
}
