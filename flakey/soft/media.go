package soft

import (
	"errors"
	"fmt"

	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/flakey/soft/medium"
)

// newMedium makes the first medium of a disk, and its recording (nil: none).
func newMedium(c config) (*medium.Medium, *recording.Writer, error) {
	var w *recording.Writer
	if c.Record != "" {
		var err error
		if w, err = recording.Create(c.Record, recording.Header{Size: c.Size, BlockSize: c.BlockSize, Seed: c.Seed}); err != nil {
			return nil, nil, err
		}
	}
	m, err := medium.New(medium.Options{Size: c.Size, BlockSize: c.BlockSize, Cache: c.Cache, Memory: c.Memory, Ready: c.Ready, Seed: c.Seed, Recorder: w})
	if err != nil {
		return nil, nil, errors.Join(err, closeRecording(w))
	}
	return m, w, nil
}

func closeRecording(w *recording.Writer) error {
	if w == nil {
		return nil
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("soft: the recording is not whole: %w", err)
	}
	return nil
}
