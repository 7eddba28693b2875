package pressure

import (
	_ "embed"
	"html/template"
	"net/http"
	"strconv"

	"github.com/seed-1b600011/assay/web"
)

//go:embed page.html
var pageBody string

//go:embed page.js
var pageScript string

// registerPage adds the page and what it shows.
func (s *Service) registerPage(mux routes) {
	mux.Handle("GET /{$}", web.Page{Title: "assay pressure", Body: template.HTML(pageBody), Scripts: []string{"/page.js"}})
	mux.Handle("GET /page.js", web.Script("text/javascript; charset=utf-8", pageScript))
	mux.HandleFunc("GET /v1/plot/{resource}", s.plot)
}

// plot draws the last ten minutes of a resource, as wide as the query says.
func (s *Service) plot(w http.ResponseWriter, r *http.Request) {
	width, err := strconv.Atoi(r.URL.Query().Get("width"))
	if err != nil {
		width = 0
	}
	p, ok := s.past.plot(r.PathValue("resource"), width)
	if !ok {
		http.Error(w, "want memory, disk or cpu", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "no-store")
	_ = p.SVG(w) // the client has gone
}
