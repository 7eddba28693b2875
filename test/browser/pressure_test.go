package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/device"
	"github.com/chromedp/chromedp/kb"
)

// fact is what a card says of a value.
func fact(card, name string) string {
	return fmt.Sprintf(`document.querySelector('[data-resource=%s] [data-fact=%s]').textContent`, card, name)
}

func button(card, kind string) string {
	return fmt.Sprintf(`[data-resource=%s] button%s`, card, kind)
}

func pressure(t *testing.T, token string, args ...string) (port string) {
	t.Helper()
	return start(t, build(t), []string{"HIGHMEMLIM=268435456", "HIGHFILELIM=134217728", "DATADIR=" + t.TempDir(), "ASSAY_LISTEN_PORT=0", "ASSAY_LISTEN_TOKEN=" + token},
		append([]string{"pressure"}, args...)...)
}

// TestPressurePage sets and releases everything, with the mouse.
func TestPressurePage(t *testing.T) {
	port := pressure(t, "")
	at := "http://127.0.0.1:" + port
	ctx := open(t)
	do(t, ctx, "open the page", chromedp.EmulateViewport(1280, 900), chromedp.Navigate(at))
	eventually(t, ctx, "the page is live", `document.getElementById('link').textContent === 'live'`)

	do(t, ctx, "memory", chromedp.SendKeys(`[data-resource=memory] [name=bytes]`, "64M"), chromedp.Click(button("memory", ".main")))
	eventually(t, ctx, "64 MiB are held", fact("memory", "held")+" === '64 MiB'")
	do(t, ctx, "disk", chromedp.SendKeys(`[data-resource=disk] [name=bytes]`, "20M"), chromedp.SendKeys(`[data-resource=disk] [name=inodes]`, "5"), chromedp.Click(button("disk", ".main")))
	eventually(t, ctx, "20 MiB are held", fact("disk", "held")+" === '20 MiB' && "+fact("disk", "inodes")+" === '5'")
	do(t, ctx, "cpu", chromedp.SendKeys(`[data-resource=cpu] [name=cores]`, "0.5"), chromedp.SendKeys(`[data-resource=cpu] [name=for]`, "1h"), chromedp.Click(button("cpu", ".main")))
	eventually(t, ctx, "a quarter of a core is asked for", fact("cpu", "asked")+" === '0.25 cores'")
	eventually(t, ctx, "it is used", `parseFloat(`+fact("cpu", "held")+`) > 0.05`)
	eventually(t, ctx, "it says until when", `document.querySelector('[data-resource=cpu] .say').textContent.startsWith('until ')`)
	if state := squeeze(get(t, at+"/v1/state")); !strings.Contains(state, `"held":67108864`) || !strings.Contains(state, `"held":20971520`) || !strings.Contains(state, `"asked":0.25`) {
		t.Errorf("the service says otherwise: %s", state)
	}

	do(t, ctx, "too much", chromedp.SetValue(`[data-resource=memory] [name=bytes]`, "1G"), chromedp.Click(button("memory", ".main")))
	eventually(t, ctx, "it is refused", `Boolean(document.querySelector('[data-resource=memory] .say.bad')?.textContent.includes('over the limit'))`)
	do(t, ctx, "nonsense", chromedp.SetValue(`[data-resource=disk] [name=bytes]`, "lots"), chromedp.Click(button("disk", ".main")))
	eventually(t, ctx, "it is refused", `Boolean(document.querySelector('[data-resource=disk] .say.bad')?.textContent.includes('is no size'))`)
	do(t, ctx, "see it for a while", chromedp.Sleep(3*time.Second))
	eventually(t, ctx, "three plots with lines", `document.querySelectorAll('.plot svg path.s').length >= 9`)
	if held := value[string](t, ctx, fact("memory", "held")); held != "64 MiB" {
		t.Errorf("a refusal has changed what is held: %s", held)
	}
	shoot(t, ctx, "pressure-wide")

	for _, card := range []string{"memory", "disk", "cpu"} {
		do(t, ctx, "release", chromedp.Click(button(card, "[data-release]")))
	}
	eventually(t, ctx, "all is given back", fact("memory", "held")+" === '0 B' && "+fact("disk", "held")+" === '0 B' && "+fact("cpu", "asked")+" === '0 cores'")
	if state := squeeze(get(t, at+"/v1/state")); strings.Count(state, `"asked":0,`) != 3 {
		t.Errorf("the service says otherwise: %s", state)
	}
}

// TestPressureByKeyboard uses no mouse, on a phone's screen: nothing may be
// wider than that.
func TestPressureByKeyboard(t *testing.T) {
	port := pressure(t, "")
	ctx := open(t)
	do(t, ctx, "open the page", chromedp.Emulate(device.IPhone13), chromedp.Navigate("http://127.0.0.1:"+port))
	eventually(t, ctx, "the page is live", `document.getElementById('link').textContent === 'live'`)
	do(t, ctx, "tab, type and enter", chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent("32M"), chromedp.KeyEvent(kb.Enter))
	eventually(t, ctx, "32 MiB are held", fact("memory", "held")+" === '32 MiB'")
	if v := value[string](t, ctx, `getComputedStyle(document.activeElement).outlineStyle`); v != "solid" {
		t.Errorf("where the keyboard is cannot be seen: outline %q", v)
	}
	if v := value[bool](t, ctx, `document.documentElement.scrollWidth <= window.innerWidth`); !v {
		t.Error("the page is wider than the screen")
	}
	if v := value[float64](t, ctx, `Math.min(...[...document.querySelectorAll('button')].map((b) => b.getBoundingClientRect().height))`); v < 40 {
		t.Errorf("a button is %v pixels high: too small for a finger", v)
	}
	if v := value[string](t, ctx, `[...document.querySelectorAll('input')].filter((i) => !i.labels.length).map((i) => i.name).join()`); v != "" {
		t.Errorf("fields without a label: %s", v)
	}
	do(t, ctx, "see it for a while", chromedp.Sleep(2*time.Second))
	shoot(t, ctx, "pressure-phone")
	do(t, ctx, "tab to release, and press it", chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(" "))
	eventually(t, ctx, "all is given back", fact("memory", "held")+" === '0 B'")
}

// TestPressureWithToken opens the page of a service that wants a token, with it
// as the password and without.
func TestPressureWithToken(t *testing.T) {
	port := pressure(t, "sesame")
	ctx := open(t)
	do(t, ctx, "open the page", chromedp.Navigate("http://me:sesame@127.0.0.1:"+port))
	eventually(t, ctx, "the page is live", `document.getElementById('link')?.textContent === 'live'`)
	do(t, ctx, "memory", chromedp.SendKeys(`[data-resource=memory] [name=bytes]`, "5M"), chromedp.Click(button("memory", ".main")))
	eventually(t, ctx, "5 MiB are held", fact("memory", "held")+" === '5 MiB'")
	ctx = open(t)
	if _, err := chromedp.Run(ctx, chromedp.Navigate("http://me:wrong@127.0.0.1:"+port)); err == nil {
		if v := value[bool](t, ctx, `Boolean(document.querySelector('[data-resource]'))`); v {
			t.Error("the page opens with a wrong token")
		}
	}
}

// TestPressureFromAnotherSite opens a page of somebody else's that asks for
// memory in every way that a page has: over a name for which browsers say who
// asks, and over one for which they do not.
func TestPressureFromAnotherSite(t *testing.T) {
	port := pressure(t, "", "--open")
	ctx := open(t)
	for _, host := range []string{"127.0.0.1", "pod.example"} {
		at := "http://" + host + ":" + port
		target := at + "/api/mem/set?size=1000000"
		evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprintf(w, `<!DOCTYPE html><meta charset="utf-8"><title>other</title>
<img src="%[1]s"><img src="%[1]s" referrerpolicy="no-referrer"><iframe src="%[1]s" referrerpolicy="no-referrer"></iframe>
<script>
fetch("%[1]s", {mode: "no-cors"}).catch(() => {});
fetch("%[1]s", {mode: "no-cors", referrerPolicy: "no-referrer", credentials: "include"}).catch(() => {});
fetch("%[2]s/v1/plan", {method: "POST", mode: "no-cors", body: '{"resource":"memory","shape":"ramp","from":"1M","to":"1M","for":"1h"}'}).catch(() => {});
fetch("%[2]s/v1/memory", {method: "PUT", body: '{"bytes":"1M"}'}).catch(() => {});
window.addEventListener("load", () => document.title = "tried");
</script>`, target, at)
		}))
		defer evil.Close()
		u, err := url.Parse(evil.URL)
		if err != nil {
			t.Fatal(err)
		}
		do(t, ctx, "open another site", chromedp.Navigate("http://evil.example:"+u.Port()))
		eventually(t, ctx, "it has tried", `document.title === "tried"`)
		time.Sleep(500 * time.Millisecond)
		if state := squeeze(get(t, "http://127.0.0.1:"+port+"/v1/memory")); !strings.Contains(state, `"asked":0,`) {
			t.Errorf("through %s another site has taken memory: %s", host, state)
		}
	}
	// A person who types the address gets it: at once, or with one click more.
	do(t, ctx, "type the address", chromedp.Navigate("http://pod.example:"+port+"/api/mem/set?size=1000000"))
	eventually(t, ctx, "it asks", `document.body.innerText.includes('Do it')`)
	do(t, ctx, "click", chromedp.Click("a[href]"))
	eventually(t, ctx, "it is done", `document.body.innerText.includes('Memory data request sent for 1000000 bytes')`)
	do(t, ctx, "the page itself", chromedp.Navigate("http://pod.example:"+port))
	eventually(t, ctx, "it shows what is held", fact("memory", "held")+" === '1 MiB'")
	do(t, ctx, "release", chromedp.Click(button("memory", "[data-release]")))
	eventually(t, ctx, "the page works where browsers do not say who asks", fact("memory", "held")+" === '0 B'")
}
