package soft

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seed-1b600011/assay/flakey"
)

// The daemon listens on the unix socket "sock" in the disk's own directory
// (mode 0700: whoever may enter may command). A connection carries requests,
// one JSON object a line, each answered by one line before the next is read.
//
//	{"v":1,"op":"cut","keep":{"mode":"none"}}
//	{"v":1,"cut":{"at_stake":8,"kept":0,"older":0,"lost":8,"path":"/dev/loop4"}}

// protocol is the version of requests and answers. A daemon that was made by
// another assay may speak another one; neither guesses.
const protocol = 1

// lineMax is the longest request and the longest answer, in bytes.
const lineMax = 1 << 20

// op is what a request wants.
type op string

const (
	opPing    op = "ping"    // is it alive?
	opIntact  op = "intact"  // has anything failed that the disk is made of?
	opStatus  op = "status"  // what there is: Status
	opStats   op = "stats"   // what it has done: flakey.Stats
	opSet     op = "set"     // these faults and no others
	opAdd     op = "add"     // these faults too
	opCut     op = "cut"     // power cut
	opClone   op = "clone"   // plug in a copy-on-write copy of what a reader sees now
	opView    op = "view"    // plug in another moment of the recording that the disk was made from
	opDrop    op = "drop"    // unplug a clone or a view
	opMark    op = "mark"    // write a mark into the recording
	opMount   op = "mount"   // mount the disk, and again after each power cut
	opUnmount op = "unmount" // undo that
	opClose   op = "close"   // end
)

// request is one line from a client.
type request struct {
	Version int            `json:"v"`
	Op      op             `json:"op"`
	Faults  []flakey.Fault `json:"faults,omitempty"` // set, add
	Keep    flakey.Keep    `json:"keep,omitzero"`    // cut, view
	At      int            `json:"at,omitempty"`     // view
	Record  string         `json:"record,omitempty"` // cut: file of a recording that begins with what survives
	Text    string         `json:"text,omitempty"`   // mark
	Path    string         `json:"path,omitempty"`   // drop: the device; unmount: the directory, or empty for all
	Mount   *Mount         `json:"mount,omitempty"`  // mount
}

// answer is one line to a client.
type answer struct {
	Version int           `json:"v"`
	Error   string        `json:"error,omitempty"`
	Refused bool          `json:"refused,omitempty"` // the request was wrong: nothing has been done
	Path    string        `json:"path,omitempty"`    // clone
	Cut     *flakey.Cut   `json:"cut,omitempty"`     // cut, view
	Stats   *flakey.Stats `json:"stats,omitempty"`
	Status  *Status       `json:"status,omitempty"`
	Intact  *intact       `json:"intact,omitempty"`
}

// Mount is a mount of the disk that its daemon has made and makes again after
// a power cut.
type Mount struct {
	Dir     string `json:"dir"`
	FS      string `json:"fs"`
	Options string `json:"options,omitempty"`
}

// intact is what a daemon says of itself.
type intact struct {
	PID    int    `json:"pid"`
	Broken string `json:"broken,omitempty"` // empty: nothing has failed
}

// Status is what there is of a disk.
type Status struct {
	Name      string         `json:"name"`
	Path      string         `json:"path"` // the device that is plugged in
	Size      int64          `json:"size"` // bytes
	BlockSize int            `json:"block_size"`
	PID       int            `json:"pid"` // of the daemon
	Cuts      int64          `json:"cuts"`
	Faults    []flakey.Fault `json:"faults"`
	Clones    []string       `json:"clones,omitempty"` // devices, also of views
	Mounts    []Mount        `json:"mounts,omitempty"` // that the daemon has made
	Record    string         `json:"record,omitempty"`
	From      *From          `json:"from,omitempty"`   // nil: a new disk
	Broken    string         `json:"broken,omitempty"` // why nothing that this disk does can be believed
	Stats     flakey.Stats   `json:"stats"`
}

// refusal is an error in what was asked: nothing has been changed.
type refusal struct{ err error }

func (r refusal) Error() string { return r.err.Error() }
func (r refusal) Unwrap() error { return r.err }

func refuse(format string, a ...any) error { return refusal{fmt.Errorf(format, a...)} }

// IsRefused says whether err means that what was asked was wrong or cannot be
// had on this machine, and that nothing has been changed.
func IsRefused(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// parseRequest reads one request from a line without its end.
func parseRequest(line []byte) (request, error) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	var r request
	if err := d.Decode(&r); err != nil {
		return request{}, refuse("no request: %w", err)
	}
	if d.More() {
		return request{}, refuse("no request: more than one value in a line")
	}
	if r.Version != protocol {
		return request{}, refuse("request of version %d: this daemon speaks %d; use the assay that made the disk", r.Version, protocol)
	}
	switch {
	case r.Op == opMount && r.Mount == nil:
		return request{}, refuse("mount: what to mount is missing")
	case r.Op == opMount && (!strings.HasPrefix(r.Mount.Dir, "/") || strings.ContainsRune(r.Mount.Dir, 0)):
		return request{}, refuse("mount: directory %q: want an absolute path", r.Mount.Dir)
	case r.Op == opDrop && r.Path == "":
		return request{}, refuse("drop: the path is missing")
	}
	return r, nil
}

var errLong = fmt.Errorf("a line of more than %d bytes", lineMax)

// readLine gives the next line without its end. The bytes are valid until the
// next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errLong
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(line, []byte("\n")), nil
}

func writeLine(w io.Writer, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) >= lineMax {
		return errLong
	}
	_, err = w.Write(append(b, '\n'))
	return err
}
