package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/seed-1b600011/assay/pressure"
	"github.com/seed-1b600011/assay/web"
	"github.com/spf13/cobra"
)

// holding takes something, keeps it for a time with a line that says how
// it stands, and gives it back.
type holding struct {
	time  time.Duration
	state func() pressure.State
	line  func() string // nil: of the state
	close func() error
}

func (h *holding) add(c *cobra.Command) {
	c.Flags().DurationVar(&h.time, "for", 0, "how long, such as 90s; default: until interrupted")
}

func (h *holding) run(c *cobra.Command, set func(context.Context) error) (err error) {
	if h.time < 0 {
		return usage{errors.Join(fmt.Errorf("--for %v: want a time from 0 on", h.time), h.close())}
	}
	defer func() { err = errors.Join(err, h.close()) }()
	done := make(chan error, 1)
	go func() { done <- set(c.Context()) }()
	width := terminalWidth(os.Stderr)
	interval := time.Second
	if width == 0 {
		interval = 10 * time.Second
	}
	show := time.NewTicker(interval)
	defer show.Stop()
	var over <-chan time.Time
	var until time.Time
	if h.line == nil {
		h.line = h.bytes
	}
	for {
		select {
		case set := <-done:
			var short *pressure.ShortError
			if c.Context().Err() != nil {
				return nil
			}
			if set != nil && !errors.As(set, &short) {
				return refusedAsUsage(set)
			}
			err = set // what is there is held all the same
			done = nil
			if h.time > 0 {
				over, until = time.After(h.time), time.Now().Add(h.time)
			}
		case <-show.C:
		case <-over:
			h.say(c, width, time.Time{})
			endLine(c, width)
			return err
		case <-c.Context().Done():
			endLine(c, width)
			return err
		}
		h.say(c, width, until)
	}
}

// refusedAsUsage makes a request that was refused an error of usage.
func refusedAsUsage(err error) error {
	var over *pressure.LimitError
	var overload *pressure.OverloadError
	if errors.As(err, &over) || errors.As(err, &overload) {
		return usage{err}
	}
	return err
}

func (h *holding) bytes() string {
	s := h.state()
	text := fmt.Sprintf("%s of %s held, limit %s", web.Bytes.Text(float64(s.Held)), web.Bytes.Text(float64(s.Asked)), web.Bytes.Text(float64(s.Limit)))
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}

// say writes the line anew where there is a terminal, and one more elsewhere.
func (h *holding) say(c *cobra.Command, width int, until time.Time) {
	text := h.line()
	if !until.IsZero() {
		text += fmt.Sprintf(", %v left", time.Until(until).Round(time.Second))
	}
	if width == 0 {
		fmt.Fprintln(c.ErrOrStderr(), text)
		return
	}
	if runes := []rune(text); len(runes) >= width {
		text = string(runes[:width-1])
	}
	fmt.Fprintf(c.ErrOrStderr(), "\r\x1b[K%s", text)
}

func endLine(c *cobra.Command, width int) {
	if width > 0 {
		fmt.Fprintln(c.ErrOrStderr())
	}
}
