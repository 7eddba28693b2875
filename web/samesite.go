package web

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// SameSite lets through what a script or a page of this server asks for, and
// refuses what another site has made a browser ask for, whatever the method.
//
// Sec-Fetch-Site says which it is, but browsers send it over TLS and to
// loopback only (Fetch Metadata, W3C). Otherwise Origin or Referer say it; a
// foreign page can leave both out, but not pretend to be ours. So a browser
// that says none of the three gets no action but a page with a link to it:
// following that is a request from our own page. Whoever has typed the address
// needs one click more; programs that are no browsers see none of this.
func SameSite(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch origin(r) {
		case ours:
			next.ServeHTTP(w, r)
		case foreign:
			http.Error(w, "refused: another site has asked for this", http.StatusForbidden)
		case unknown:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusForbidden)
			_ = confirm.Execute(w, r.URL.RequestURI())
		}
	})
}

var confirm = template.Must(template.New("confirm").Parse(`<!DOCTYPE html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>assay: sure?</title>
<p>This changes something, and the browser does not say which page has asked for it.
<p><a href="{{.}}" rel="nofollow">Do it</a>
`))

type asker int

const (
	ours asker = iota // or no browser
	foreign
	unknown
)

// origin is who has asked for a request.
func origin(r *http.Request) asker {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		if site == "same-origin" || site == "none" { // none: a person has typed the address
			return ours
		}
		return foreign
	}
	for _, name := range [...]string{"Origin", "Referer"} {
		text := r.Header.Get(name)
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		if err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) {
			return ours
		}
		return foreign
	}
	if strings.HasPrefix(r.UserAgent(), "Mozilla/") { // as every browser begins
		return unknown
	}
	return ours
}
