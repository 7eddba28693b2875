package refstore

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
)

// control is how the parent of a server's process speaks to it: JSON over
// HTTP, on a listener of its own, with a token that only the parent knows.
//
//	POST   /lies     a Lie            → {"id": "1"}
//	GET    /lies/ID                   → {"touched": 3, "keys": ["a", "b"]}
//	DELETE /lies/ID  ends it; it can still be asked for
//	GET    /stats                     → Stats
//
// A refusal has status 400, 401 or 404 and its reason as text.
type control struct {
	cluster *cluster
	token   string

	mu   sync.Mutex
	told []*Telling // id is the place, from 1
}

type (
	lieID struct {
		ID string `json:"id"`
	}
	lieStatus struct {
		Touched int64    `json:"touched"`
		Keys    []string `json:"keys"`
	}
)

const lieJSONMax = 64 << 10

func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /lies", c.add)
	mux.HandleFunc("GET /lies/{id}", c.status)
	mux.HandleFunc("DELETE /lies/{id}", c.stop)
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.cluster.stats()) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+c.token)) != 1 {
			http.Error(w, "wrong token", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// The parent is gone if this fails, and this process soon too.
	_ = json.NewEncoder(w).Encode(v)
}

func (c *control) add(w http.ResponseWriter, r *http.Request) {
	var l Lie
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, lieJSONMax))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		http.Error(w, "refstore: lie: "+err.Error(), http.StatusBadRequest)
		return
	}
	t, err := c.cluster.front.Lie(l)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, t)
	answer(w, lieID{strconv.Itoa(len(c.told))})
}

// telling is the lie that the request names; it answers itself if there is none.
func (c *control) telling(w http.ResponseWriter, r *http.Request) *Telling {
	c.mu.Lock()
	defer c.mu.Unlock()
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > len(c.told) {
		http.Error(w, "no such lie", http.StatusNotFound)
		return nil
	}
	return c.told[id-1]
}

func (c *control) status(w http.ResponseWriter, r *http.Request) {
	if t := c.telling(w, r); t != nil {
		n, keys := t.Touched()
		answer(w, lieStatus{n, keys})
	}
}

func (c *control) stop(w http.ResponseWriter, r *http.Request) {
	if t := c.telling(w, r); t != nil {
		t.Stop()
		w.WriteHeader(http.StatusNoContent)
	}
}
