package recording_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed-1b600011/assay/flakey/recording"
)

func Example() {
	dir, err := os.MkdirTemp("", "recording")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "disk.recording")

	w, err := recording.Create(path, recording.Header{Size: 1 << 20, BlockSize: 512})
	if err != nil {
		fmt.Println(err)
		return
	}
	w.Mark("before")
	w.Write(4096, make([]byte, 512), 0)
	w.Flush(0)
	if err := w.Close(); err != nil {
		fmt.Println(err)
		return
	}

	r, err := recording.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	for i := range r.Len() {
		rec, err := r.Record(i)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(rec.Number, rec.Kind, rec.Offset, rec.Length)
	}
	// Output:
	// 0 mark 0 0
	// 1 write 4096 512
	// 2 flush 0 0
}
