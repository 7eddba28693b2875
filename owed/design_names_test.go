package owed

import (
	"slices"
	"testing"

	"github.com/seed-1b600011/assay/history"
)

func designNames(t *testing.T) {
	id := FileID(0, 1)
	f, g := Entry{File: id}, Entry{File: FileID(0, 5)}
	t.Run("a name is owed after a sync of its directory", func(t *testing.T) {
		h := volumeTape()
		h.do("create", "f", 0, 0, 0)
		h.sync("fsync", "f")
		cut := *h
		cut.records = slices.Clone(h.records)
		cut.round("power-cut")
		want(t, "not synced", judgeNames(t, &cut, nil), "legal")
		h.sync("syncdir", "")
		h.round("power-cut")
		want(t, "synced", judgeNames(t, h, nil), "lost")
		want(t, "there", judgeNames(t, h, map[string]Entry{"f": f}), "legal")
	})
	t.Run("an fsync owes the name where the file system documents it", func(t *testing.T) {
		h := volumeTape()
		h.do("mkdir", "d", 0, 0, 0)
		h.do("create", "d/f", 0, 0, 0)
		h.sync("fsync", "d/f")
		h.round("power-cut")
		b, err := Fold(h.all(), func(string) Rule { return Rule{NeedsSync: true, MayTear: true, FsyncNames: true} })
		if err != nil {
			t.Fatal(err)
		}
		want(t, "documented", kinds(b.JudgeNames("v", nil)), "lost+lost")
		want(t, "not documented", judgeNames(t, h, nil), "legal")
	})
	t.Run("a new directory needs its ancestors too", func(t *testing.T) {
		h := volumeTape()
		h.do("mkdir", "d", 0, 0, 0)
		h.do("create", "d/f", 0, 0, 0)
		h.sync("syncdir", "d")
		cut := *h
		cut.records = slices.Clone(h.records)
		cut.round("power-cut")
		want(t, "the directory may be absent", judgeNames(t, &cut, nil), "legal")
		want(t, "the directory alone", judgeNames(t, &cut, map[string]Entry{"d": {Dir: true}}), "lost")
		h.sync("syncdir", "/")
		h.round("power-cut")
		want(t, "both owed", judgeNames(t, h, nil), "lost+lost")
	})
	t.Run("a rename shows the old name or the new one, never neither, never half", func(t *testing.T) {
		h := oneFile()
		h.doTo("rename", "f", "g")
		h.round("power-cut")
		want(t, "old", judgeNames(t, h, map[string]Entry{"f": f}), "legal")
		want(t, "new", judgeNames(t, h, map[string]Entry{"g": f}), "legal")
		want(t, "neither", judgeNames(t, h, nil), "lost")
		want(t, "half", judgeNames(t, h, map[string]Entry{"f": f, "g": f}), "resurrected")
	})
	t.Run("a rename between directories is owed by a sync of either", func(t *testing.T) {
		for _, dir := range []string{"", "d"} {
			h := oneFile()
			h.do("mkdir", "d", 0, 0, 0)
			h.sync("syncdir", "")
			h.doTo("rename", "f", "d/g")
			h.sync("syncdir", dir)
			h.round("power-cut")
			d := Entry{Dir: true}
			want(t, "new", judgeNames(t, h, map[string]Entry{"d": d, "d/g": f}), "legal")
			want(t, "neither", judgeNames(t, h, map[string]Entry{"d": d}), "lost")
			want(t, "old", judgeNames(t, h, map[string]Entry{"d": d, "f": f}), "lost+resurrected")
		}
	})
	t.Run("a failed sync of either directory takes back the whole rename", func(t *testing.T) {
		for _, dir := range []string{"", "d"} {
			h := oneFile()
			h.do("mkdir", "d", 0, 0, 0)
			h.sync("syncdir", "")
			h.doTo("rename", "f", "d/g")
			h.end(h.begin("syncdir", dir, 0, 0, 0), history.Refused)
			d := Entry{Dir: true}
			want(t, "old", judgeNames(t, h, map[string]Entry{"d": d, "f": f}), "legal")
			want(t, "new", judgeNames(t, h, map[string]Entry{"d": d, "d/g": f}), "legal")
			want(t, "neither", judgeNames(t, h, map[string]Entry{"d": d}), "lost")
		}
	})
	t.Run("a rename back is a rename, whatever a failed sync did between", func(t *testing.T) {
		h := oneFile()
		h.doTo("rename", "f", "g")
		h.end(h.begin("syncdir", "", 0, 0, 0), history.Refused)
		h.doTo("rename", "g", "f")
		h.round("kill")
		want(t, "there", judgeNames(t, h, map[string]Entry{"f": f}), "legal")
		want(t, "elsewhere", judgeNames(t, h, map[string]Entry{"g": f}), "lost+resurrected")
	})
	t.Run("two names are no half of a rename where a link may have made them", func(t *testing.T) {
		h := oneFile()
		h.doTo("link", "f", "g")
		h.sync("syncdir", "")
		h.do("unlink", "g", 0, 0, 0)
		h.doTo("rename", "f", "g")
		h.round("power-cut")
		want(t, "both", judgeNames(t, h, map[string]Entry{"f": f, "g": f}), "legal")
	})
	t.Run("the file that a name had before is stale", func(t *testing.T) {
		h := oneFile()
		h.do("create", "g", 0, 0, 0)
		h.doTo("rename", "g", "f")
		h.round("kill")
		want(t, "before", judgeNames(t, h, map[string]Entry{"f": f}), "stale")
		want(t, "after", judgeNames(t, h, map[string]Entry{"f": {File: FileID(0, 5)}}), "legal")
	})
	t.Run("a renamed file keeps its owed data", func(t *testing.T) {
		h := oneFile()
		h.doTo("rename", "f", "g")
		h.round("power-cut")
		got := look(id, makeBytes(id, gen(1, 2), zeros(2)), 1)
		for _, name := range []string{"f", "g"} {
			want(t, name, kinds(h.fold(t).JudgeFile("v", name, got)), "lost")
		}
	})
	t.Run("an unlinked file may be there until the directory is synced, and is resurrected after", func(t *testing.T) {
		h := oneFile()
		h.do("unlink", "f", 0, 0, 0)
		cut := *h
		cut.records = slices.Clone(h.records)
		cut.round("power-cut")
		want(t, "not synced", judgeNames(t, &cut, map[string]Entry{"f": f}), "legal")
		want(t, "gone", judgeNames(t, &cut, nil), "legal")
		h.sync("syncdir", "")
		h.round("power-cut")
		want(t, "synced", judgeNames(t, h, map[string]Entry{"f": f}), "resurrected")
	})
	t.Run("a rename over a file leaves the old one or the new one", func(t *testing.T) {
		h := oneFile()
		h.do("create", "g", 0, 0, 0)
		h.sync("syncdir", "")
		h.doTo("rename", "f", "g")
		h.round("power-cut")
		want(t, "old", judgeNames(t, h, map[string]Entry{"f": f, "g": g}), "legal")
		want(t, "new", judgeNames(t, h, map[string]Entry{"g": f}), "legal")
		want(t, "absent", judgeNames(t, h, map[string]Entry{"f": f}), "lost")
	})
	t.Run("a directory keeps its identity under another name", func(t *testing.T) {
		h := volumeTape()
		h.do("mkdir", "d", 0, 0, 0)
		h.do("create", "d/f", 0, 0, 0)
		h.sync("syncfs", "")
		h.doTo("rename", "d", "e")
		h.round("power-cut")
		d, f := Entry{Dir: true}, Entry{File: FileID(0, 2)}
		want(t, "old", judgeNames(t, h, map[string]Entry{"d": d, "d/f": f}), "legal")
		want(t, "new", judgeNames(t, h, map[string]Entry{"e": d, "e/f": f}), "legal")
		want(t, "neither", judgeNames(t, h, nil), "lost+lost")
		want(t, "empty", judgeNames(t, h, map[string]Entry{"e": d}), "lost")
	})
	t.Run("names that nobody made are corrupt, others' files misdirected", func(t *testing.T) {
		h := oneFile()
		h.do("create", "g", 0, 0, 0)
		h.sync("syncdir", "")
		h.round("power-cut")
		want(t, "stranger", judgeNames(t, h, map[string]Entry{"f": f, "g": g, "x": {}}), "corrupt")
		want(t, "swapped", judgeNames(t, h, map[string]Entry{"f": g, "g": f}), "misdirected+misdirected")
		want(t, "a directory", judgeNames(t, h, map[string]Entry{"f": {Dir: true}, "g": g}), "corrupt")
	})
	t.Run("a lost name is blamed once", func(t *testing.T) {
		h := oneFile()
		h.round("power-cut")
		want(t, "at first", judgeNames(t, h, nil), "lost")
		h.check("f", id, Seen{})
		want(t, "then", judgeNames(t, h, nil), "legal")
		want(t, "come back", judgeNames(t, h, map[string]Entry{"f": f}), "resurrected")
	})
}
