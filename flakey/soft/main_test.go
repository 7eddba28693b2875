package soft

import (
	"os"
	"testing"
)

// TestMain spares the children of a race-enabled run the second that the race
// detector sleeps at the end of each process.
func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	os.Exit(m.Run())
}
