package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// allowed is whether a request has the token. The digests have one length, so
// the time that comparing takes tells neither the token's bytes nor its length.
func (s *Server) allowed(r *http.Request) bool {
	if s.o.Token == "" {
		return true
	}
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") { // in any case (RFC 9110, 11.1), with any number of spaces
		given = strings.TrimLeft(given, " ")
	} else {
		_, given, _ = r.BasicAuth()
	}
	have, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(s.o.Token))
	return subtle.ConstantTimeCompare(have[:], want[:]) == 1
}
