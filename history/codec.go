package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bits of a body's first byte above the phase, and of its second byte.
const (
	phaseMask = 0x0f
	hasOp     = 0x10
	hasEffect = 0x20

	hasWriter     = 0x01
	hasAttempt    = 0x02
	hasVerb       = 0x04
	hasTarget     = 0x08
	hasObject     = 0x10
	hasRange      = 0x20
	hasGeneration = 0x40
	hasDetail     = 0x80
)

const (
	frameHead = 8         // room before a body for its checksum and its length
	bodyFixed = 2 + 12*10 // more than all numbers of a body take
	maxBody   = bodyFixed + MaxVerb + 2*MaxName + MaxDetail
	maxFrame  = frameHead + maxBody
	knownMax  = 64  // names of a kind that a segment remembers
	knownLen  = 255 // bytes of a name that is remembered, and of a prefix that is shared
)

// names are the verbs or the targets that a segment has spelled out so far;
// from then on a byte stands for each.
type names struct {
	list []string
	last int
}

func (n *names) find(s string) int {
	if n.last < len(n.list) && n.list[n.last] == s {
		return n.last
	}
	for i, have := range n.list {
		if have == s {
			n.last = i
			return i
		}
	}
	return -1
}

func (n *names) learn(s string) {
	if len(n.list) < knownMax && len(s) <= knownLen {
		n.list = append(n.list, s)
	}
}

// memory is what the bodies of a segment are relative to. Writer and reader
// keep the same one and begin each segment with a new one.
type memory struct {
	at             int64
	op             uint64
	object         string // the last one that was not empty
	verbs, targets names
}

func newMemory(h *header) memory {
	return memory{
		at: h.created, op: h.op,
		verbs:   names{list: make([]string, 0, knownMax)},
		targets: names{list: make([]string, 0, knownMax)},
	}
}

// bodyBound is at least as much as the body of r will take.
func bodyBound(r *Record) int {
	return bodyFixed + len(r.Verb) + len(r.Target) + len(r.Object) + len(r.Detail)
}

// encode appends the body of r, a record in a segment of writer, to b.
func (m *memory) encode(b []byte, r *Record, writer uint32) []byte {
	start := len(b)
	b = append(b, byte(r.Phase)&phaseMask, 0)
	b = binary.AppendVarint(b, int64(r.At)-m.at)
	m.at = int64(r.At)
	if r.Op != 0 {
		b[start] |= hasOp
		b = binary.AppendVarint(b, int64(r.Op-m.op))
		m.op = r.Op
	}
	var has byte
	if r.Writer != writer {
		has |= hasWriter
		b = binary.AppendUvarint(b, uint64(r.Writer))
	}
	if r.Attempt != 0 {
		has |= hasAttempt
		b = binary.AppendUvarint(b, uint64(r.Attempt))
	}
	if r.Verb != "" {
		has |= hasVerb
		b = m.verbs.encode(b, r.Verb)
	}
	if r.Target != "" {
		has |= hasTarget
		b = m.targets.encode(b, r.Target)
	}
	if r.Object != "" {
		has |= hasObject
		n := shared(m.object, r.Object)
		b = append(b, byte(n))
		b = appendString(b, r.Object[n:])
		m.object = r.Object
	}
	if r.From != 0 || r.To != 0 {
		has |= hasRange
		b = binary.AppendVarint(b, r.From)
		b = binary.AppendVarint(b, r.To-r.From)
	}
	if r.Generation != 0 {
		has |= hasGeneration
		b = binary.AppendUvarint(b, uint64(r.Generation))
	}
	if len(r.Detail) != 0 {
		has |= hasDetail
		b = binary.AppendUvarint(b, uint64(len(r.Detail)))
		b = append(b, r.Detail...)
	}
	b[start+1] = has
	if r.Effect != 0 {
		b[start] |= hasEffect
		b = append(b, byte(r.Effect))
	}
	return b
}

func (n *names) encode(b []byte, s string) []byte {
	if i := n.find(s); i >= 0 {
		return append(b, byte(i+1))
	}
	// The caller's string may be a small part of something large: keep no more
	// than what is needed of it.
	n.learn(strings.Clone(s))
	return appendString(append(b, 0), s)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// shared is the length of the common prefix of a and b, at most knownLen.
func shared(a, b string) int {
	n := min(len(a), len(b), knownLen)
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// check refuses what a frame cannot hold, and what only this package writes.
func check(r *Record) error {
	switch {
	case len(r.Verb) > MaxVerb:
		return fmt.Errorf("%w: a verb of %d bytes, at most %d", errRefused, len(r.Verb), MaxVerb)
	case len(r.Target) > MaxName:
		return fmt.Errorf("%w: a target of %d bytes, at most %d", errRefused, len(r.Target), MaxName)
	case len(r.Object) > MaxName:
		return fmt.Errorf("%w: an object of %d bytes, at most %d", errRefused, len(r.Object), MaxName)
	case len(r.Detail) > MaxDetail:
		return fmt.Errorf("%w: a detail of %d bytes, at most %d", errRefused, len(r.Detail), MaxDetail)
	case r.Phase > Round:
		return fmt.Errorf("%w: %s, which is for Checkpoint to write", errRefused, r.Phase)
	}
	return nil
}

var errBody = errors.New("a body that no writer makes")

// body takes a record's body apart; the first thing amiss stays in bad.
type body struct {
	b   []byte
	bad bool
}

func (d *body) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *body) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *body) uint32() uint32 {
	v := d.uint()
	d.bad = d.bad || v > 1<<32-1
	return uint32(v)
}

func (d *body) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *body) take(limit int) []byte {
	n := d.uint()
	if n > uint64(limit) || n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *body) name(n *names, limit int) string {
	i := int(d.byte())
	if i > 0 {
		if i > len(n.list) {
			d.bad = true
			return ""
		}
		return n.list[i-1]
	}
	s := string(d.take(limit))
	n.learn(s)
	return s
}

func (d *body) object(last string) string {
	n := int(d.byte())
	rest := d.take(MaxName)
	if n > len(last) || n+len(rest) > MaxName {
		d.bad = true
		return ""
	}
	return last[:n] + string(rest)
}

// decode is the inverse of encode. After an error the memory is of no use.
func (m *memory) decode(b []byte, writer uint32) (r Record, err error) {
	d := body{b: b}
	kind, has := d.byte(), d.byte()
	r.Phase, r.Writer = Phase(kind&phaseMask), writer
	m.at += d.int()
	r.At = time.Duration(m.at)
	if kind&hasOp != 0 {
		m.op += uint64(d.int())
		r.Op = m.op
	}
	if has&hasWriter != 0 {
		r.Writer = d.uint32()
	}
	if has&hasAttempt != 0 {
		r.Attempt = d.uint32()
	}
	if has&hasVerb != 0 {
		r.Verb = d.name(&m.verbs, MaxVerb)
	}
	if has&hasTarget != 0 {
		r.Target = d.name(&m.targets, MaxName)
	}
	if has&hasObject != 0 {
		r.Object = d.object(m.object)
		m.object = r.Object
	}
	if has&hasRange != 0 {
		r.From = d.int()
		r.To = r.From + d.int()
	}
	if has&hasGeneration != 0 {
		r.Generation = d.uint32()
	}
	if has&hasDetail != 0 {
		r.Detail = append([]byte(nil), d.take(MaxDetail)...)
	}
	if kind&hasEffect != 0 {
		r.Effect = Effect(d.byte())
	}
	if d.bad || len(d.b) > 0 || kind&^(phaseMask|hasOp|hasEffect) != 0 || r.Phase > Checkpoint {
		return Record{}, errBody
	}
	return r, nil
}
