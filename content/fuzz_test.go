package content

import "testing"

// FuzzClassify gives Classify any bytes at all. The patch is laid over what
// was asked for, so that the fuzzer finds damage and need not invent content.
func FuzzClassify(f *testing.F) {
	f.Add([]byte{}, int64(0), uint16(0), uint16(1000), uint64(1), uint32(3), int64(0))
	f.Add([]byte{0, 1}, int64(77), uint16(30), uint16(40), uint64(1), uint32(3), int64(1))
	f.Add(make([]byte, 600), int64(500), uint16(100), uint16(2000), uint64(9), uint32(0), int64(-7))
	f.Add([]byte("a line of text, and another line of text"), int64(1<<56), uint16(0), uint16(40), uint64(0), uint32(1), int64(12345))
	f.Fuzz(func(t *testing.T, patch []byte, off int64, at, size uint16, object uint64, generation uint32, shift int64) {
		off &= MaxSize - 1
		off = min(off, MaxSize-int64(size))
		p := &planting{want: Tag{Seed: 1, Object: 1, Generation: 1}, off: off, got: make([]byte, size)}
		Fill(p.got, p.want, off)
		if from := (off + shift) & (MaxSize - 1); from <= MaxSize-int64(size) {
			half := p.got[size/2:]
			Fill(half, Tag{Seed: 1, Object: object, Generation: generation}, from)
		}
		if int(at) < len(p.got) {
			copy(p.got[at:], patch)
		}
		spans := Classify(nil, p.got, p.off, p.want)
		if err := p.sound(spans); err != nil {
			t.Fatal(err)
		}
		exact := len(spans) == 0 || len(spans) == 1 && spans[0].Class == Exact
		if exact != Equal(p.got, p.want, p.off) {
			t.Fatalf("Equal says %v of %v", !exact, spans)
		}
	})
}
