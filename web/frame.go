package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

const assetPath = "/assets/"

// asset serves a file of the frame.
func asset(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, assets, strings.TrimPrefix(r.URL.Path, "/"))
}

// Page is a page in the frame that all pages of assay have: a heading, styles
// for light and dark and for small screens. It runs no script that is not
// listed, and loads nothing from elsewhere.
type Page struct {
	Title string
	Body  template.HTML
	// Scripts are paths on this server.
	Scripts []string
}

var frame = template.Must(template.New("frame").Parse(`<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{.Title}}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="` + assetPath + `frame.css">
{{range .Scripts}}<script defer src="{{.}}"></script>
{{end}}<header><h1>{{.Title}}</h1></header>
<main>
{{.Body}}
</main>
</html>
`))

// ServeHTTP writes the page.
func (p Page) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	var b bytes.Buffer
	if err := frame.Execute(&b, p); err != nil {
		http.Error(w, fmt.Sprintf("the page %s: %v", p.Title, err), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	_, _ = b.WriteTo(w)
}

// Script serves a script or another text of the caller's.
func Script(contentType, text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", contentType)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	})
}
