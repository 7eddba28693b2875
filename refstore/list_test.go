package refstore

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/seed"
	"pgregory.net/rapid"
)

// bruteItem is an item of a list, as the brute-force model makes it.
type bruteItem struct {
	name   string
	prefix bool
}

// bruteList is a whole list, made the slow way: filter, gather, sort.
func bruteList(keys map[string]string, q ListQuery) []bruteItem {
	set := map[bruteItem]bool{}
	for key := range keys {
		if !strings.HasPrefix(key, q.Prefix) || key <= q.StartAfter {
			continue
		}
		item := bruteItem{name: key}
		if q.Delimiter != "" {
			if head, _, found := strings.Cut(key[len(q.Prefix):], q.Delimiter); found {
				item = bruteItem{q.Prefix + head + q.Delimiter, true}
			}
		}
		set[item] = true
	}
	var items []bruteItem
	for item := range set {
		items = append(items, item)
	}
	slices.SortFunc(items, func(a, b bruteItem) int { return strings.Compare(a.name, b.name) })
	return items
}

// walk reads all pages and checks the form of each.
func walk(t rapid.TB, list func(ListQuery) (Listing, *Error), q ListQuery) []bruteItem {
	t.Helper()
	var items []bruteItem
	for {
		page, err := list(q)
		if err != nil {
			t.Fatalf("list %+v: %v", q, err)
		}
		var here []bruteItem
		for _, k := range page.Keys {
			here = append(here, bruteItem{name: k.Name})
		}
		for _, p := range page.Prefixes {
			here = append(here, bruteItem{p, true})
		}
		slices.SortFunc(here, func(a, b bruteItem) int { return strings.Compare(a.name, b.name) })
		items = append(items, here...)
		if len(here) > q.Max || page.Truncated != (page.Next != "") || page.Truncated && len(here) != q.Max {
			t.Fatalf("list %+v: a page of %d items, truncated %v, next %q", q, len(here), page.Truncated, page.Next)
		}
		if !page.Truncated {
			return items
		}
		q.Token = page.Next
	}
}

func TestStoreAgainstMap(t *testing.T) {
	name := rapid.StringOfN(rapid.SampledFrom([]rune("ab/-é")), 1, 6, -1)
	part := rapid.StringOfN(rapid.SampledFrom([]rune("ab/-é")), 0, 3, -1)
	rapid.Check(t, func(t *rapid.T) {
		bodies := NewBodies("", 16, 64)
		defer bodies.Close()
		store := NewStore(bodies, StoreOptions{})
		if err := store.CreateBucket("bucket", ""); err != nil {
			t.Fatal(err)
		}
		model := map[string]string{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				key, content := name.Draw(t, "key"), strings.Repeat("x", rapid.IntRange(0, 40).Draw(t, "size"))+name.Draw(t, "content")
				putString(t, store, "bucket", key, content)
				model[key] = content
			},
			"delete": func(t *rapid.T) {
				key := name.Draw(t, "key")
				if answer := store.Do("bucket", key, Op{Verb: Delete}); answer.Err != nil {
					t.Fatal(answer.Err)
				}
				delete(model, key)
			},
			"get": func(t *rapid.T) {
				key := name.Draw(t, "key")
				want, there := model[key]
				if got, ok := getString(t, store, "bucket", key); ok != there || got != want {
					t.Fatalf("get %q: %q %v, want %q %v", key, got, ok, want, there)
				}
			},
			"list": func(t *rapid.T) {
				q := ListQuery{Prefix: part.Draw(t, "prefix"), Delimiter: rapid.SampledFrom([]string{"", "/", "-", "a", "/a", "é"}).Draw(t, "delimiter"),
					StartAfter: part.Draw(t, "start after"), Max: rapid.IntRange(1, 5).Draw(t, "max")}
				got := walk(t, func(q ListQuery) (Listing, *Error) { return store.List("bucket", q) }, q)
				if want := bruteList(model, q); !slices.Equal(got, want) {
					t.Fatalf("list %+v: %v, want %v", q, got, want)
				}
			},
			"": func(t *rapid.T) {
				var size int64
				for _, content := range model {
					size += int64(len(content))
				}
				if got := store.Stats().Objects; got != int64(len(model)) || bodies.bytes.Load() != size {
					t.Fatalf("%d objects of %d bytes, want %d of %d", got, bodies.bytes.Load(), len(model), size)
				}
			},
		})
	})
}

func TestIndex(t *testing.T) {
	n := 20_000
	if full() {
		n = 300_000
	}
	for _, order := range []string{"random", "rising", "falling"} {
		t.Run(order, func(t *testing.T) {
			s := seed.Seed(7).For(order)
			nameOf := func(i int) string {
				switch order {
				case "rising":
					return fmt.Sprintf("%08d", i)
				case "falling":
					return fmt.Sprintf("%08d", n-i)
				default:
					return fmt.Sprintf("%x", s.At(uint64(i)))
				}
			}
			var x index
			model := map[string]string{}
			for i := range n {
				x.insert(&entry{name: nameOf(i), key: Key{Present: true}})
				model[nameOf(i)] = ""
			}
			checkIndex(t, &x, model)
			for i := range n {
				// Most go, in another order than they came.
				victim := nameOf(int(s.For("victim").Below(uint64(i), uint64(n))))
				if e := x.get(victim); (e != nil) != has(model, victim) {
					t.Fatalf("get %s: %v", victim, e)
				} else if e != nil {
					x.remove(victim)
					delete(model, victim)
				}
			}
			checkIndex(t, &x, model)
			for name := range model {
				x.remove(name)
			}
			checkIndex(t, &x, nil)
		})
	}
}

func has(m map[string]string, key string) bool { _, ok := m[key]; return ok }

func checkIndex(t *testing.T, x *index, model map[string]string) {
	t.Helper()
	var names []string
	x.all(func(e *entry) { names = append(names, e.name) })
	if !slices.IsSorted(names) || len(names) != len(model) || len(x.chunks) != len(x.firsts) {
		t.Fatalf("%d names, sorted %v, want %d", len(names), slices.IsSorted(names), len(model))
	}
	for _, name := range names {
		if !has(model, name) {
			t.Fatalf("%s should not be there", name)
		}
	}
	for i, chunk := range x.chunks {
		if len(chunk) == 0 || len(chunk) > chunkMax || x.firsts[i] != chunk[0].name {
			t.Fatalf("chunk %d of %d: %d entries", i, len(x.chunks), len(chunk))
		}
	}
	if got, want := walk(t, x.list, ListQuery{Max: 777}), bruteList(model, ListQuery{}); !slices.Equal(got, want) {
		t.Fatalf("the list has %d items, want %d", len(got), len(want))
	}
}

func TestListArguments(t *testing.T) {
	store := newTestStore(t)
	if err := store.CreateBucket("bucket", ""); err != nil {
		t.Fatal(err)
	}
	putString(t, store, "bucket", "a", "a")
	for _, limit := range []int{0, -1} {
		if page, err := store.List("bucket", ListQuery{Max: limit}); err != nil || page.Truncated || len(page.Keys) > 0 {
			t.Errorf("max %d: %+v, %v", limit, page, err)
		}
	}
	for _, token := range []string{"!", "eA==", "Cg"} {
		if _, err := store.List("bucket", ListQuery{Max: 1, Token: token}); err == nil || err.Code != "InvalidArgument" {
			t.Errorf("token %q: %v", token, err)
		}
	}
}
