package refstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/seed-1b600011/assay/seed"
)

// put4K puts n objects of 4 KiB over loopback with a bare client, 16 at a time.
func put4K(b *testing.B, url string, transport http.RoundTripper, n int64) time.Duration {
	body := string(noise(5, 4096))
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	account := aws.Credentials{AccessKeyID: testAccount.AccessKey, SecretAccessKey: testAccount.SecretKey}
	var next atomic.Int64
	done := make(chan error, 16)
	began := time.Now()
	for range cap(done) {
		go func() {
			done <- func() error {
				for {
					i := next.Add(1)
					if i > n {
						return nil
					}
					r, err := http.NewRequest("PUT", fmt.Sprintf("%s/bucket/key-%08d", url, i), strings.NewReader(body))
					if err != nil {
						return err
					}
					r.Header.Set("X-Amz-Content-Sha256", hash)
					if err := signer.SignHTTP(context.Background(), account, r, hash, "s3", testAccount.Region, time.Now()); err != nil {
						return err
					}
					answer, err := transport.RoundTrip(r)
					if err != nil {
						return err
					}
					io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
					if answer.StatusCode != http.StatusOK {
						return fmt.Errorf("put: %s", answer.Status)
					}
				}
			}()
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(began)
}

// The peer is a server that reads the body and says 200.
func BenchmarkPut4K(b *testing.B) {
	store, url := newTestServer(b)
	store.bodies.each = 64 << 10
	store.bodies.all = 512 << 20
	if err := store.CreateBucket("bucket", ""); err != nil {
		b.Fatal(err)
	}
	peer := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer peer.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}
	defer transport.CloseIdleConnections()
	put4K(b, peer.URL, transport, 500)
	put4K(b, url, transport, 500)
	b.ResetTimer()
	var ours, theirs time.Duration
	n := int64(b.N)
	// Alternating: the machine's mood changes.
	for done := int64(0); done < n; {
		part := min(n-done, 2000)
		theirs += put4K(b, peer.URL, transport, part)
		ours += put4K(b, url, transport, part)
		done += part
	}
	b.StopTimer()
	b.ReportMetric(float64(n)/ours.Seconds(), "puts/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "of-a-server-that-only-reads")
}

// One page of 1000 of a list of a million keys, beside copying its entries out
// of a sorted slice.
func BenchmarkListMillion(b *testing.B) {
	const n = 1_000_000
	s := seed.Seed(1)
	var x index
	began := time.Now()
	for i := range uint64(n) {
		x.insert(&entry{name: fmt.Sprintf("%02x/%016x", s.At(i)>>56, s.At(i)), key: Key{Present: true}})
	}
	b.ReportMetric(float64(time.Since(began).Nanoseconds())/n, "ns/insertion")
	var sorted []*entry
	x.all(func(e *entry) { sorted = append(sorted, e) })
	for _, c := range []struct {
		name string
		q    ListQuery
	}{
		{"keys", ListQuery{Max: 1000}},
		{"prefix", ListQuery{Max: 1000, Prefix: "80/"}},
		{"delimiter", ListQuery{Max: 1000, Delimiter: "/"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var ours, theirs time.Duration
			for i := range uint64(b.N) {
				c.q.StartAfter = ""
				if c.name == "keys" {
					c.q.StartAfter = fmt.Sprintf("%02x/", s.Below(i, 250))
				}
				at := time.Now()
				page, err := x.list(c.q)
				if err != nil || len(page.Keys)+len(page.Prefixes) < 256 {
					b.Fatal(len(page.Keys), len(page.Prefixes), err)
				}
				ours += time.Since(at)
				at = time.Now()
				from := int(s.Below(i, n-1000))
				var keys []Listed
				for _, e := range sorted[from : from+1000] {
					keys = append(keys, Listed{e.name, e.key.Version.Size, e.key.Version.ETag, e.key.Version.Modified})
				}
				theirs += time.Since(at)
				if len(keys) != 1000 {
					b.Fatal(len(keys))
				}
			}
			b.ReportMetric(theirs.Seconds()/ours.Seconds(), "of-a-sorted-slice")
		})
	}
}
