package content

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"math/bits"
	"testing"

	"github.com/seed-1b600011/assay/seed"
)

// plain makes the byte at off of t as the package comment says it, one at a
// time: the format a second time, for the first to be held against.
func plain(t Tag, off int64) byte {
	k := func(i uint64) uint64 { return seed.Seed(t.Seed).At(i) }
	f := func(x uint64) uint64 {
		hi, lo := bits.Mul64(x, 0xd1342543de82ef95)
		return hi ^ lo
	}
	rot := func(x uint64) uint64 { return x<<32 | x>>32 }
	sector := uint64(off / 512)
	w := [3]uint64{t.Object, sector | uint64(t.Generation&0xffff)<<48, uint64(t.Generation >> 16)}
	for r := range 6 {
		w[r%3] ^= f(w[(r+1)%3] + rot(w[(r+2)%3]) + k(uint64(r)))
	}
	var id [24]byte
	for i, x := range w {
		binary.LittleEndian.PutUint64(id[8*i:], x)
	}
	i := uint64(off % 512)
	return id[i%24] ^ byte(seed.Seed(0).At(i/8)>>(8*(i%8)))
}

func TestFillIsTheFormat(t *testing.T) {
	s := seed.Seed(7)
	for i := range uint64(120) {
		tag := Tag{Seed: s.At(4 * i), Object: s.At(4*i + 1), Generation: uint32(s.At(4*i + 2))}
		off := int64(s.At(4*i+3) >> (7 + s.Below(i, 55)))
		got := make([]byte, s.Index(1).Below(i, 1500))
		if off > MaxSize-int64(len(got)) {
			off = MaxSize - int64(len(got))
		}
		Fill(got, tag, off)
		for j, b := range got {
			if want := plain(tag, off+int64(j)); b != want {
				t.Fatalf("byte %d of %s is %#x, the format says %#x", off+int64(j), tag, b, want)
			}
		}
		if !Equal(got, tag, off) {
			t.Fatalf("Equal denies what Fill made: %d bytes of %s from %d", len(got), tag, off)
		}
		for j := range got {
			got[j] ^= 1 << (j % 8)
			if Equal(got, tag, off) {
				t.Fatalf("Equal does not see byte %d of %d changed, from offset %d", j, len(got), off)
			}
			got[j] ^= 1 << (j % 8)
		}
	}
}

// TestGolden holds the format still: what one release wrote the next must know.
func TestGolden(t *testing.T) {
	for _, g := range []struct {
		tag Tag
		off int64
		hex string
	}{
		{Tag{}, 0, "09920b8da795d59c9fc5652b7dac48df99cd24d5b020182e60e5764604f2d993"},
		{Tag{Seed: 42, Object: ObjectID("bucket/key"), Generation: 3}, 500, "5784d4aca82c439afc71c7170306c828835f5bad21f218e9857fef08450a2a3c"},
		{Tag{Seed: 1<<64 - 1, Object: 1<<64 - 1, Generation: 1<<32 - 1}, MaxSize - 32, "f4003155deb2c9a5e99d9a60bd451c629f4783b18e50afd1924b8f0314ef0d04"},
	} {
		got := make([]byte, 32)
		Fill(got, g.tag, g.off)
		if hex.EncodeToString(got) != g.hex {
			t.Errorf("%s from %d is\n%x, was\n%s", g.tag, g.off, got, g.hex)
		}
	}
	if id := ObjectID("bucket/key"); id != 0x5a57becd3462422f {
		t.Errorf("ObjectID gives %#x", id)
	}
}

func TestPad(t *testing.T) {
	for j, w := range pad {
		if want := seed.Seed(0).At(uint64(j)); w != want {
			t.Errorf("word %d is %#x, the format says %#x", j, w, want)
		}
	}
	seen := map[uint64]bool{}
	for phase := 0; phase+window <= SectorSize; phase++ {
		d := difference(padBytes[phase:])
		if seen[d] {
			t.Errorf("phase %d looks like another", phase)
		}
		seen[d] = true
		if got, ok := phaseTable.find(padBytes[phase:]); !ok || got != phase {
			t.Errorf("phase %d is found as %d, %v", phase, got, ok)
		}
	}
}

func TestIdentityInverts(t *testing.T) {
	s := seed.Seed(3)
	for i := range uint64(20_000) {
		k := keyOf(s.At(i))
		tag := Tag{Object: s.Index(1).At(i), Generation: uint32(s.Index(2).At(i))}
		sector := s.Index(3).At(i) & sectorMask
		got, gotSector, ok := k.decipher(k.encipher(tag, sector))
		if !ok || got != tag || gotSector != sector {
			t.Fatalf("%s, sector %d came back as %s, sector %d, %v", tag, sector, got, gotSector, ok)
		}
	}
}

// TestIdentityMixes shows that every bit of a tag and of a sector's number
// turns every bit of the identity with a probability near a half, and back.
func TestIdentityMixes(t *testing.T) {
	const samples = 1024
	s := seed.Seed(11)
	there := func(k *key, w identity) identity {
		return k.encipher(Tag{Object: w.a, Generation: uint32(w.b>>48 | w.c<<16)}, w.b&sectorMask)
	}
	back := func(k *key, w identity) identity { // decipher without its check
		a, b, c := w.a, w.b, w.c
		c ^= fold(a + bits.RotateLeft64(b, 32) + k[5])
		b ^= fold(c + bits.RotateLeft64(a, 32) + k[4])
		a ^= fold(b + bits.RotateLeft64(c, 32) + k[3])
		c ^= fold(a + bits.RotateLeft64(b, 32) + k[2])
		return identity{0, 0, c}
	}
	for _, way := range []struct {
		name    string
		f       func(*key, identity) identity
		in, out [2]int // bits
	}{{"encipher", there, [2]int{0, 144}, [2]int{0, 192}}, {"decipher", back, [2]int{0, 192}, [2]int{128, 192}}} {
		for bit := way.in[0]; bit < way.in[1]; bit++ {
			var turned [192]int
			for i := range uint64(samples) {
				k := keyOf(s.At(i))
				w := identity{s.Index(1).At(i) >> 40, i, 0} // small numbers, as real ones are
				x := w
				switch bit / 64 {
				case 0:
					x.a ^= 1 << bit
				case 1:
					x.b ^= 1 << (bit - 64)
				case 2:
					x.c ^= 1 << (bit - 128)
				}
				p, q := way.f(&k, w), way.f(&k, x)
				for j, d := range [3]uint64{p.a ^ q.a, p.b ^ q.b, p.c ^ q.c} {
					for ; d != 0; d &= d - 1 {
						turned[64*j+bits.TrailingZeros64(d)]++
					}
				}
			}
			for j := way.out[0]; j < way.out[1]; j++ {
				if n := turned[j]; n < samples/2-6*16 || n > samples/2+6*16 { // six standard deviations
					t.Fatalf("%s: bit %d turns bit %d in %d of %d cases", way.name, bit, j, n, samples)
				}
			}
		}
	}
}

func TestIncompressible(t *testing.T) {
	for name, make := range map[string]func([]byte){
		"one object":        func(b []byte) { Fill(b, Tag{Seed: 1, Object: 2, Generation: 3}, 0) },
		"zero tag, far off": func(b []byte) { Fill(b, Tag{}, 1<<50+13) },
		"small objects": func(b []byte) {
			for i := 0; i+600 <= len(b); i += 600 {
				Fill(b[i:i+600], Tag{Object: uint64(i / 600)}, 0)
			}
		},
		"generations": func(b []byte) {
			for i := 0; i+512 <= len(b); i += 512 {
				Fill(b[i:i+512], Tag{Generation: uint32(i / 512)}, 0)
			}
		},
	} {
		b := [600 * 1024]byte{}
		make(b[:])
		var out bytes.Buffer
		w, err := flate.NewWriter(&out, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(b[:])
		w.Close()
		if out.Len() < len(b) {
			t.Errorf("%s: %d bytes compress to %d", name, len(b), out.Len())
		}
		var count [256]int
		for _, c := range b {
			count[c]++
		}
		chi := 0.0
		for _, n := range count {
			d := float64(n) - float64(len(b))/256
			chi += d * d / (float64(len(b)) / 256)
		}
		if chi > 255+8*22.6 {
			t.Errorf("%s: bytes are not uniform: chi² of %.0f with 255 degrees of freedom", name, chi)
		}
	}
}

// TestNoTwoBlocksAlike looks at every 4 KiB block of several generations of
// several objects under two seeds, and at every sector.
func TestNoTwoBlocksAlike(t *testing.T) {
	blocks, sectors := map[uint64]bool{}, map[uint64]bool{}
	h := maphash.MakeSeed()
	buf := make([]byte, 64<<10)
	for i := range uint64(256) {
		Fill(buf, Tag{Seed: i & 1, Object: i >> 1 & 15, Generation: uint32(i >> 5)}, 0)
		for _, in := range []struct {
			size int
			seen map[uint64]bool
		}{{4096, blocks}, {SectorSize, sectors}} {
			for at := 0; at < len(buf); at += in.size {
				sum := maphash.Bytes(h, buf[at:at+in.size])
				if in.seen[sum] {
					t.Fatalf("the %d bytes at %d of object %d are there twice", in.size, at, i)
				}
				in.seen[sum] = true
			}
		}
	}
}
