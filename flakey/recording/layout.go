package recording

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/seed"
	"golang.org/x/sys/unix"
)

const (
	headerMagic = "assayREC"
	recordMagic = "aREC"
	version     = 1
	headerSize  = 128
	headSize    = 64
	align       = 8
)

// MaxData is the longest payload of a record in bytes.
const MaxData = 8<<20 - headSize

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind says what a record tells of. See the package comment.
type Kind uint8

// The kinds.
const (
	Write Kind = iota + 1
	Flush
	Discard
	Zero
	Faults
	Mark
	CutPower
	Evict
	end
)

// String is the kind's name as the package comment has it.
func (k Kind) String() string {
	names := [...]string{"", "write", "flush", "discard", "zero", "faults", "mark", "cut", "evict", "end"}
	if k < Write || k > end {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return names[k]
}

// Flags say how a fault has touched what a record tells of.
type Flags uint8

// The flags.
const (
	Altered Flags = 1 << iota // done otherwise than asked: corrupt, torn, misdirected
	Dropped                   // acknowledged and not done
)

// Header says which disk was recorded, and when.
type Header struct {
	Size      int64 // bytes
	BlockSize int   // bytes of the logical block
	Seed      seed.Seed
	Wall      time.Time     // at creation; set by Create
	Boot      time.Duration // CLOCK_BOOTTIME at creation; set by Create
	BootID    [16]byte      // set by Create
}

// Record is one thing that was done to the disk, without its payload.
type Record struct {
	Kind   Kind
	Flags  Flags
	Number int           // from 0
	At     time.Duration // CLOCK_BOOTTIME
	Offset int64         // bytes on the disk; of Evict the number of a record
	Length int64         // bytes on the disk
	Data   int           // bytes of payload
}

// Cut is what a record of a power cut holds.
type Cut struct {
	Keep flakey.Keep `json:"keep"` // with the seed that was drawn from
	Cut  flakey.Cut  `json:"cut"`
}

func (h Header) encode(nonce uint32) []byte {
	le := binary.LittleEndian
	b := make([]byte, headerSize)
	copy(b, headerMagic)
	le.PutUint32(b[8:], version)
	le.PutUint32(b[12:], uint32(h.BlockSize))
	le.PutUint64(b[16:], uint64(h.Size))
	le.PutUint64(b[24:], uint64(h.Seed))
	le.PutUint64(b[32:], uint64(h.Wall.UnixNano()))
	le.PutUint64(b[40:], uint64(h.Boot))
	copy(b[48:], h.BootID[:])
	le.PutUint32(b[64:], nonce)
	le.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
	return b
}

func decodeHeader(b []byte) (h Header, nonce uint32, err error) {
	le := binary.LittleEndian
	switch {
	case len(b) < headerSize:
		return h, 0, errors.New("shorter than a header")
	case string(b[:8]) != headerMagic:
		return h, 0, errors.New("no recording")
	case le.Uint32(b[headerSize-4:]) != crc32.Checksum(b[:headerSize-4], castagnoli):
		return h, 0, errors.New("the header is damaged")
	case le.Uint32(b[8:]) != version:
		return h, 0, fmt.Errorf("version %d, want %d", le.Uint32(b[8:]), version)
	}
	h = Header{
		Size: int64(le.Uint64(b[16:])), BlockSize: int(le.Uint32(b[12:])), Seed: seed.Seed(le.Uint64(b[24:])),
		Wall: time.Unix(0, int64(le.Uint64(b[32:]))), Boot: time.Duration(le.Uint64(b[40:])), BootID: [16]byte(b[48:64]),
	}
	return h, le.Uint32(b[64:]), h.check()
}

func (h Header) check() error {
	if h.Size <= 0 || h.Size > flakey.MaxSize || (h.BlockSize != 512 && h.BlockSize != 4096) || h.Size%4096 != 0 {
		return fmt.Errorf("a disk of %d bytes with blocks of %d", h.Size, h.BlockSize)
	}
	return nil
}

// encodeHead writes the head of a record that stands at offset at of the file.
func encodeHead(b []byte, r Record, payloadCRC, nonce uint32, at int64) {
	le := binary.LittleEndian
	clear(b[:headSize])
	copy(b, recordMagic)
	le.PutUint64(b[8:], uint64(r.Number))
	le.PutUint64(b[16:], uint64(r.At))
	le.PutUint64(b[24:], uint64(r.Offset))
	le.PutUint64(b[32:], uint64(r.Length))
	le.PutUint32(b[40:], uint32(r.Data))
	le.PutUint32(b[44:], payloadCRC)
	b[48], b[49] = byte(r.Kind), byte(r.Flags)
	le.PutUint32(b[4:], crc32.Update(nonce^uint32(at), castagnoli, b[8:headSize]))
}

// decodeHead reads the head of a record at offset at of the file. It does not
// look at the payload.
func decodeHead(b []byte, h Header, nonce uint32, at int64) (r Record, payloadCRC uint32, ok bool) {
	le := binary.LittleEndian
	if string(b[:4]) != recordMagic || le.Uint32(b[4:]) != crc32.Update(nonce^uint32(at), castagnoli, b[8:headSize]) {
		return r, 0, false
	}
	number, dataLen := le.Uint64(b[8:]), le.Uint32(b[40:])
	if number >= 1<<47 || dataLen > MaxData || [14]byte(b[50:64]) != [14]byte{} {
		return r, 0, false
	}
	r = Record{
		Kind: Kind(b[48]), Flags: Flags(b[49]), Number: int(number), At: time.Duration(le.Uint64(b[16:])),
		Offset: int64(le.Uint64(b[24:])), Length: int64(le.Uint64(b[32:])), Data: int(dataLen),
	}
	return r, le.Uint32(b[44:]), r.sane(h)
}

// sane says whether the fields fit the kind, so that whoever replays a record
// need not check it again.
func (r Record) sane(h Header) bool {
	noRange := r.Offset == 0 && r.Length == 0
	switch r.Kind {
	case Write:
		return h.holds(r.Offset, r.Length) && r.Length == int64(r.Data) && r.Flags&^(Altered|Dropped) == 0
	case Discard, Zero:
		return h.holds(r.Offset, r.Length) && r.Data == 0 && r.Flags&^Dropped == 0
	case Flush:
		return noRange && r.Data == 0 && r.Flags&^Dropped == 0
	case Faults, Mark, CutPower:
		return noRange && r.Flags == 0
	case Evict:
		return r.Offset >= 0 && r.Offset < int64(r.Number) && r.Length == 0 && r.Data == 0 && r.Flags == 0
	case end:
		return noRange && r.Data == 0 && r.Flags == 0
	}
	return false
}

// holds says whether a range lies on the disk and is made of whole blocks.
func (h Header) holds(off, n int64) bool {
	bs := int64(h.BlockSize)
	return off >= 0 && n >= 0 && off <= h.Size && n <= h.Size-off && off%bs == 0 && n%bs == 0
}

// padded is n rounded up to where the next record may begin.
func padded(n int) int { return (n + align - 1) &^ (align - 1) }

func boottime() time.Duration {
	var ts unix.Timespec
	// It fails for unknown clocks and bad addresses only; this is neither.
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return time.Duration(ts.Nano())
}

func bootID() (id [16]byte, err error) {
	const file = "/proc/sys/kernel/random/boot_id"
	b, err := os.ReadFile(file)
	if err != nil {
		return id, fmt.Errorf("read the boot id: %w", err)
	}
	text := strings.ReplaceAll(strings.TrimSpace(string(b)), "-", "")
	if n, err := hex.Decode(id[:], []byte(text)); err != nil || n != len(id) {
		return id, fmt.Errorf("read the boot id: %s holds %q", file, b)
	}
	return id, nil
}
