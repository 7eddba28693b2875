package volume_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// fakeMkfs puts a program in the place of mkfs.ext4.
func fakeMkfs(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mkfs.ext4"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

// TestMkfsBreaks: that a file system could not be made is no fault of the
// scenario's, and no finding.
func TestMkfsBreaks(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	fakeMkfs(t, "echo the disk went away; exit 1")
	out, err := l.tryRun(l.ctx, l.plan(onDisk("ext4", "64M")+files("{count: 1}", "write-files", "")))
	if err != nil || out.Verdict != verdict.Inconclusive || !strings.Contains(out.Why, "the disk went away") {
		t.Errorf("%v, %+v", err, out)
	}
}

// TestInterruptedWhileFormatting: neither is an interruption.
func TestInterruptedWhileFormatting(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	begun := filepath.Join(t.TempDir(), "begun")
	fakeMkfs(t, "touch "+begun+"; exec sleep 1000")
	ctx, cancel := context.WithCancelCause(l.ctx)
	defer cancel(nil)
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(begun); err == nil {
				cancel(scenario.ErrInterrupted)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	out, err := l.tryRun(ctx, l.plan(onDisk("ext4", "64M")+files("{count: 1}", "write-files", "")))
	if err != nil || out.Verdict != verdict.Inconclusive || !strings.Contains(out.Why, "interrupted") {
		t.Errorf("%v, %+v", err, out)
	}
}
