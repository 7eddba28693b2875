package refstore

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/seed-1b600011/assay/machine"
)

func startServer(t *testing.T, c Config) (*Server, *machine.Ledger) {
	t.Helper()
	ledger, err := machine.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c.Dir = t.TempDir()
	s, err := Start(context.Background(), ledger, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if left := ledger.Left(); len(left) > 0 {
			t.Errorf("left in the ledger: %v", left)
		}
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, ledger
}

func TestServer(t *testing.T) {
	ctx := context.Background()
	s, _ := startServer(t, Config{Backends: []BackendConfig{{Name: "aws-1", Type: "aws"}, {Name: "gcp-1", Type: "gcp", Bucket: "cloud"}}})
	if len(s.Backends()) != 2 || s.Backends()[1].Bucket != "cloud" || s.Backends()[0].Bucket == "" || s.Backends()[0].Endpoint.AccessKey == s.Front().AccessKey {
		t.Fatalf("backends %+v", s.Backends())
	}
	front := sdk(s.Front().URL, s.Front().Credentials)
	bucket := aws.String("bucket")
	if _, err := front.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "gcp-1"}}); err != nil {
		t.Fatal(err)
	}
	lie, err := s.Lie(ctx, Lie{Kind: Flip, At: AtBackend, Key: "b"})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b", "c"} {
		if _, err := front.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: strings.NewReader(key + " content")}); err != nil {
			t.Fatal(err)
		}
	}
	if n, keys, err := lie.Touched(ctx); n != 1 || len(keys) != 1 || keys[0] != "b" || err != nil {
		t.Errorf("touched %d %v, error %v", n, keys, err)
	}
	if err := lie.Stop(ctx); err != nil {
		t.Error(err)
	}
	if n, _, err := lie.Touched(ctx); n != 1 || err != nil {
		t.Errorf("after its end: touched %d, error %v", n, err)
	}
	for i, backend := range s.Backends() {
		// Without checksums: the SDK would refuse the flipped body itself.
		c := sdk(backend.Endpoint.URL, backend.Endpoint.Credentials, func(o *s3.Options) { o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired })
		for _, key := range []string{"a", "b", "c"} {
			get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &backend.Bucket, Key: aws.String("bucket/" + key)})
			if i == 0 {
				if code(err) != "NoSuchKey" {
					t.Errorf("on the other backend: %v", err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(get.Body)
			if err != nil || (string(b) == key+" content") == (key == "b") {
				t.Errorf("%s on its backend: %q, error %v", key, b, err)
			}
		}
	}
	stats, err := s.Stats(ctx)
	if err != nil || stats.Front.Objects != 3 || stats.Backends["gcp-1"].Objects != 3 || stats.Bodies != 27 || stats.Front.Puts != 3 {
		t.Errorf("stats %+v, error %v", stats, err)
	}
	if _, err := s.Lie(ctx, Lie{Kind: "fib"}); err == nil {
		t.Error("a lie of no kind was taken")
	}
	// The keys of one store open no other.
	stranger := sdk(s.Front().URL, s.Backends()[0].Endpoint.Credentials)
	if _, err := stranger.ListBuckets(ctx, nil); code(err) != "InvalidAccessKeyId" {
		t.Errorf("the backend's account at the front: %v", err)
	}
	thief := &Server{child: s.child, told: s.told, client: s.client}
	thief.told.Token = "guess"
	if _, err := thief.Stats(ctx); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong token: %v", err)
	}
}

func TestServerThatDies(t *testing.T) {
	ledger, err := machine.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	s, err := Start(context.Background(), ledger, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.child.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	if s.Err() == nil {
		t.Error("a killed server has no error")
	}
	if _, err := s.Stats(context.Background()); err == nil {
		t.Error("a killed server answers")
	}
	if err := s.Close(context.Background()); err == nil {
		t.Error("closing a killed server tells nothing")
	}
}

func TestServerRefusesNonsense(t *testing.T) {
	ledger, err := machine.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	for want, c := range map[string]Config{
		"used twice":        {Backends: []BackendConfig{{Name: "a"}, {Name: "a"}}},
		"InvalidBucketName": {Backends: []BackendConfig{{Name: "a", Bucket: "No"}}},
	} {
		if _, err := Start(context.Background(), ledger, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	if left := ledger.Left(); len(left) > 0 {
		t.Errorf("left in the ledger: %v", left)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Start(ctx, ledger, Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled start: %v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	s, err := Start(ctx, ledger, Config{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-s.Done():
	case <-time.After(5 * time.Minute):
		t.Error("the server outlives its context")
	}
}
