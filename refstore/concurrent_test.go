package refstore

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/seed-1b600011/assay/seed"
)

// Many clients put, get, delete and list the same few keys, over HTTP, with
// bodies on both sides of the limit for memory. Every body read is one whole
// body that was put, and its ETag is its own. At the end the store holds as
// many bytes as its keys say: no hold of a body was lost or kept.
func TestConcurrentClients(t *testing.T) {
	steps := uint64(60)
	if full() {
		steps = 1500
	}
	ctx := context.Background()
	store := newTestStore(t)
	server := httptest.NewServer(NewS3(store, testAccount))
	c := sdk(server.URL, testAccount)
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bucket")}); err != nil {
		t.Fatal(err)
	}
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			s := seed.Seed(11).Index(uint64(w))
			for i := range steps {
				if err := oneOperation(ctx, c, s, i); err != nil {
					t.Errorf("worker %d, step %d: %v", w, i, err)
					return
				}
			}
		})
	}
	workers.Wait()
	server.Close() // waits for handlers, which hold a body a moment longer than their client waits
	var held int64
	page, err := store.List("bucket", ListQuery{Max: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range page.Keys {
		held += k.Size
	}
	if got := store.bodies.bytes.Load(); got != held {
		t.Errorf("%d bytes of bodies, the keys have %d", got, held)
	}
	for _, k := range page.Keys {
		store.Do("bucket", k.Name, Op{Verb: Delete})
	}
	if b := store.bodies; b.bytes.Load() != 0 || b.memory.Load() != 0 || b.spill.used.Load() != 0 {
		t.Errorf("after deleting all: %d bytes, %d in memory, %d spilled", b.bytes.Load(), b.memory.Load(), b.spill.used.Load())
	}
}

func oneOperation(ctx context.Context, c *s3.Client, s seed.Seed, i uint64) error {
	bucket, key := aws.String("bucket"), aws.String(fmt.Sprint("k", s.For("key").Below(i, 4)))
	switch s.For("verb").Below(i, 8) {
	case 0:
		_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: bucket, Key: key})
		return err
	case 1:
		_, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket})
		return err
	case 2, 3, 4:
		_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(sealed(s.Index(i)))})
		return err
	}
	get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	var absent *types.NoSuchKey
	if errors.As(err, &absent) {
		return nil
	}
	if err != nil {
		return err
	}
	defer get.Body.Close()
	body, err := io.ReadAll(get.Body)
	if err != nil {
		return err
	}
	sum := md5.Sum(body)
	if strings.Trim(*get.ETag, `"`) != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%d bytes do not have their ETag %s", len(body), *get.ETag)
	}
	if !bytes.Equal(body, sealed(seed.Seed(binary.LittleEndian.Uint64(body)))) {
		return fmt.Errorf("%d bytes that nobody put", len(body))
	}
	return nil
}

// sealed is a body that begins with the seed that makes all of it.
func sealed(s seed.Seed) []byte {
	body := noise(s, int(8+s.For("size").Below(0, 40_000)))
	binary.LittleEndian.PutUint64(body, uint64(s))
	return body
}
