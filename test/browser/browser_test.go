package browser

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// build makes the binary, once for a test.
func build(t *testing.T) string {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "assay")
	c := exec.Command("go", "build", "-o", exe, "./cmd/assay")
	c.Dir = "../.."
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return exe
}

// start runs a command of the binary that serves a page, and returns its port.
func start(t *testing.T, exe string, env []string, args ...string) (port string) {
	t.Helper()
	c := exec.Command(exe, args...)
	c.Env = append(os.Environ(), env...)
	out, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("assay ended with %v", err)
		}
	})
	lines := bufio.NewReader(out)
	for port == "" {
		line, err := lines.ReadString('\n')
		if m := regexp.MustCompile(`Starting web server on: \S+:(\d+)`).FindStringSubmatch(line); m != nil {
			port = m[1]
		}
		if err != nil {
			t.Fatal("it did not start")
		}
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return port
}

// open starts a browser, or skips where there is none. Names that end with
// .example lead to this machine, as those of other machines would.
func open(t *testing.T) context.Context {
	t.Helper()
	exe, err := exec.LookPath("chromium")
	if err != nil {
		t.Skipf("needs chromium: %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(exe), chromedp.NoSandbox, chromedp.WSURLReadTimeout(2*time.Minute),
		chromedp.Flag("host-resolver-rules", "MAP *.example 127.0.0.1"),
		// What is asked about a network nearby is not what is tested here.
		chromedp.Flag("disable-features", "LocalNetworkAccessChecks,PrivateNetworkAccessSendPreflights,BlockInsecurePrivateNetworkRequests,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable"))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if _, err := chromedp.Run(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

// action is something that is done in the browser.
type action = chromedp.Action[chromedp.Void]

func do(t *testing.T, ctx context.Context, what string, actions ...action) {
	t.Helper()
	run(t, ctx, what, chromedp.Steps(actions...))
}

func run[T any](t *testing.T, ctx context.Context, what string, a chromedp.Action[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return v
}

// shoot keeps a picture where ASSAY_SCREENSHOTS says, for people to look at.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	png := run(t, ctx, "a picture", chromedp.FullScreenshot(100))
	if len(png) < 5000 {
		t.Errorf("the picture %s has %d bytes", name, len(png))
	}
	if dir := os.Getenv("ASSAY_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// value is what a script of a few words says of the page.
func value[T any](t *testing.T, ctx context.Context, script string) T {
	t.Helper()
	return run(t, ctx, script, chromedp.Evaluate[T](script))
}

// eventually waits until the page is as it should be. While one page makes room
// for the next there is none to be asked, which is not what is waited for.
func eventually(t *testing.T, ctx context.Context, what, script string) {
	t.Helper()
	is := func() (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
		defer cancel()
		return chromedp.Run(ctx, chromedp.Evaluate[bool](script))
	}
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		so, err := is()
		if so && err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s (%v)\n%s", what, err, value[string](t, ctx, "document.body.innerText"))
		}
	}
}

// get asks as a script would.
func get(t *testing.T, url string) string {
	t.Helper()
	a, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// squeeze makes JSON easy to look for words in.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }
