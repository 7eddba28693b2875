package refstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

var testAccount = Credentials{"AKTEST", "secret of the test", "us-east-1"}

func full() bool { return os.Getenv("ASSAY_FULL") == "1" }

// newTestStore is a store over bodies that spill from 4 KiB on.
func newTestStore(t testing.TB) *Store {
	t.Helper()
	bodies := NewBodies(t.TempDir(), 4<<10, 1<<20)
	t.Cleanup(func() {
		if err := bodies.Close(); err != nil {
			t.Error(err)
		}
	})
	return NewStore(bodies, StoreOptions{ObjectMax: 64 << 20})
}

func newTestServer(t testing.TB) (*Store, string) {
	t.Helper()
	store := newTestStore(t)
	server := httptest.NewServer(NewS3(store, testAccount))
	t.Cleanup(server.Close)
	return store, server.URL
}

func sdk(url string, c Credentials, change ...func(*s3.Options)) *s3.Client {
	o := s3.Options{
		Region:       c.Region,
		BaseEndpoint: aws.String(url),
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, ""),
		Retryer:      aws.NopRetryer{},
		HTTPClient:   sender{http.DefaultClient},
	}
	return s3.New(o, change...)
}

// sender hides the WriteTo of the SDK's bodies, which fails once the answer
// has come (see object.NewClient).
type sender struct{ *http.Client }

func (s sender) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return s.Client.Do(r)
}

// code is the S3 code of an error of the SDK.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// clients are the ways in which the SDK may be set up.
func clients(t *testing.T) map[string]func(*testing.T) (*Store, *s3.Client) {
	off := func(o *s3.Options) {
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}
	unsigned := func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, swapPayloadHash)
	}
	plain := func(change ...func(*s3.Options)) func(*testing.T) (*Store, *s3.Client) {
		return func(t *testing.T) (*Store, *s3.Client) {
			store, url := newTestServer(t)
			return store, sdk(url, testAccount, change...)
		}
	}
	return map[string]func(*testing.T) (*Store, *s3.Client){
		"default":       plain(),
		"checksums off": plain(off),
		"unsigned":      plain(off, unsigned),
		// Over TLS the SDK sends aws-chunked with the checksum as trailer.
		"trailer": func(t *testing.T) (*Store, *s3.Client) {
			store := newTestStore(t)
			server := httptest.NewTLSServer(NewS3(store, testAccount))
			t.Cleanup(server.Close)
			return store, sdk(server.URL, testAccount, func(o *s3.Options) { o.HTTPClient = sender{server.Client()} })
		},
	}
}

// oddKeys are all that a key may be.
func oddKeys() []string {
	keys := []string{
		"plain", "a b", " a", "a ", "a+b", "a%b", "a%20b", "a%2Fb", "%", "a&b=c", "a?b", "a#b", "a;b", "a,b", "a:b", "a@b",
		"a$b", "a!b", "a*b", "a'b", "a(b)", `a"b`, "a<b>", `a\b`, "a|b", "a^b", "a`b", "a{b}", "a[b]", "a~b", "a=b",
		"ünï/cödé", "日本/語", "😀", "\u2028", "dots/../x", "dots/./x", "..", ".", "./a", "../a", "/", "//", "/lead", "//lead", "tail/", "tail//", "in//side",
		"\t", "a\nb", "a\rb", "\r\n", "\x01", "\x7f", "a\x00b", strings.Repeat("k", 1024), strings.Repeat("ü", 512), strings.Repeat(" ", 1024),
	}
	return keys
}

func TestSDK(t *testing.T) {
	ctx := context.Background()
	for name, client := range clients(t) {
		t.Run(name, func(t *testing.T) {
			store, c := client(t)
			if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bucket")}); err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{0, 1, 4096, 4097, 300_000, 3 << 20} {
				body := bytes.Repeat([]byte{byte(size), 2, 3}, size/3+1)[:size]
				key := aws.String(fmt.Sprint("size/", size))
				put, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: key, Body: bytes.NewReader(body),
					ContentType: aws.String("text/x-test"), Metadata: map[string]string{"color": "blue  green"}, CacheControl: aws.String("no-store")})
				if err != nil {
					t.Fatal(size, err)
				}
				get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: key})
				if err != nil {
					t.Fatal(size, err)
				}
				got, err := io.ReadAll(get.Body)
				if err != nil || !bytes.Equal(got, body) {
					t.Fatalf("size %d: got %d bytes, error %v", size, len(got), err)
				}
				if *get.ETag != *put.ETag || *get.ContentType != "text/x-test" || get.Metadata["color"] != "blue  green" ||
					*get.CacheControl != "no-store" || get.ContentEncoding != nil {
					t.Errorf("size %d: got %+v", size, get)
				}
				head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: aws.String("bucket"), Key: key})
				if err != nil || *head.ContentLength != int64(size) || *head.ETag != *put.ETag {
					t.Errorf("size %d: head %+v, error %v", size, head, err)
				}
			}
			if got := store.Stats().Objects; got != 6 {
				t.Errorf("%d objects, want 6", got)
			}
		})
	}
}

func TestSDKOddKeys(t *testing.T) {
	ctx := context.Background()
	_, url := newTestServer(t)
	c := sdk(url, testAccount)
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bucket")}); err != nil {
		t.Fatal(err)
	}
	for _, key := range oddKeys() {
		if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &key, Body: strings.NewReader(key)}); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
	}
	for _, key := range oddKeys() {
		get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: &key})
		if err != nil {
			t.Fatalf("get %q: %v", key, err)
		}
		if got, err := io.ReadAll(get.Body); err != nil || string(got) != key {
			t.Errorf("get %q: got %q, error %v", key, got, err)
		}
	}
	seen := map[string]bool{}
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String("bucket"), MaxKeys: aws.Int32(7), EncodingType: types.EncodingTypeUrl})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			seen[unescaped(t, *o.Key)] = true
		}
	}
	for _, key := range oddKeys() {
		if !seen[key] {
			t.Errorf("the list lacks %q", key)
		}
		delete(seen, key)
	}
	if len(seen) > 0 {
		t.Errorf("the list invents %v", seen)
	}
	var clean []types.ObjectIdentifier
	for _, key := range oddKeys() {
		if strings.ContainsAny(key, "\x00\x01") {
			// XML cannot name it.
			if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("bucket"), Key: &key}); err != nil {
				t.Fatalf("delete %q: %v", key, err)
			}
			continue
		}
		clean = append(clean, types.ObjectIdentifier{Key: &key})
	}
	deleted, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String("bucket"), Delete: &types.Delete{Objects: clean}})
	if err != nil {
		t.Fatal(err)
	}
	if len(deleted.Errors) > 0 || len(deleted.Deleted) != len(clean) {
		t.Fatalf("deleted %d of %d, errors %v", len(deleted.Deleted), len(clean), deleted.Errors)
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("bucket")}); err != nil {
		t.Errorf("delete the empty bucket: %v", err)
	}
}

func TestSDKBuckets(t *testing.T) {
	ctx := context.Background()
	store, url := newTestServer(t)
	far := newTestStore(t)
	far.bodies = store.bodies
	if err := store.AddBackend("far", far, "cloud"); err != nil {
		t.Fatal(err)
	}
	c := sdk(url, testAccount)
	create := func(name, location string) string {
		in := &s3.CreateBucketInput{Bucket: aws.String(name)}
		if location != "" {
			in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(location)}
		}
		_, err := c.CreateBucket(ctx, in)
		return code(err)
	}
	for _, step := range []struct{ name, location, want string }{
		{"first", "", ""}, {"second", "far", ""}, {"first", "", "BucketAlreadyOwnedByYou"},
		{"third", "nowhere", "InvalidLocationConstraint"}, {"Bad_Name", "", "InvalidBucketName"}, {"third", "us-east-1", ""},
	} {
		if got := create(step.name, step.location); got != step.want {
			t.Errorf("create %s at %q: %q, want %q", step.name, step.location, got, step.want)
		}
	}
	all, err := c.ListBuckets(ctx, nil)
	if err != nil || len(all.Buckets) != 3 || *all.Buckets[1].Name != "second" {
		t.Errorf("buckets %+v, error %v", all, err)
	}
	for name, want := range map[string]string{"first": "", "second": "far"} {
		at, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: &name})
		if err != nil || string(at.LocationConstraint) != want {
			t.Errorf("location of %s: %+v, error %v", name, at, err)
		}
	}
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("fourth")}); code(err) != "NotFound" {
		t.Errorf("head of no bucket: %v", err)
	}
	if _, err := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: aws.String("first")}); err != nil {
		t.Error(err)
	}
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("second"), Key: aws.String("k/1"), Body: strings.NewReader("x")}); err != nil {
		t.Fatal(err)
	}
	if got := far.Do("cloud", "second/k/1", Op{Verb: Head}); got.Err != nil {
		t.Errorf("on the backend: %v", got.Err)
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("second")}); code(err) != "BucketNotEmpty" {
		t.Errorf("delete a full bucket: %v", err)
	}
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("second"), Key: aws.String("k/1")}); err != nil {
		t.Fatal(err)
	}
	if got := far.Do("cloud", "second/k/1", Op{Verb: Head}); got.Err != ErrNoSuchKey {
		t.Errorf("deleted, on the backend: %v", got.Err)
	}
	if err := far.DeleteBucket("cloud"); err == nil || err.Code != "AccessDenied" {
		t.Errorf("delete the bucket of the backend: %v", err)
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: aws.String("second")}); err != nil {
		t.Error(err)
	}
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("second"), Key: aws.String("k"), Body: strings.NewReader("x")}); code(err) != "NoSuchBucket" {
		t.Errorf("put into no bucket: %v", err)
	}
}

func TestSDKRanges(t *testing.T) {
	ctx := context.Background()
	_, url := newTestServer(t)
	c := sdk(url, testAccount)
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bucket")}); err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789"), 1000) // spilled
	bodies := map[string][]byte{"big": body, "small": body[:100], "empty": nil}
	for key, b := range bodies {
		if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: &key, Body: bytes.NewReader(b)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct{ key, rng, want string }{
		{"big", "bytes=0-0", "0"}, {"big", "bytes=9995-", "56789"}, {"big", "bytes=-3", "789"}, {"big", "bytes=9998-20000", "89"},
		{"big", "bytes=10000-", "InvalidRange"}, {"big", "bytes=-0", "InvalidRange"}, {"big", "bytes=5-4", "InvalidRange"},
		{"big", "bytes=0-1,3-4", "NotImplemented"}, {"big", "lines=1-2", "NotImplemented"},
		{"small", "bytes=-1000", string(body[:100])}, {"small", "bytes=3-5", "345"},
		{"empty", "bytes=0-", "InvalidRange"}, {"empty", "bytes=-1", "InvalidRange"},
	} {
		get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: &step.key, Range: &step.rng})
		got := code(err)
		if err == nil {
			b, err := io.ReadAll(get.Body)
			if err != nil {
				t.Fatal(err)
			}
			got = string(b)
			if get.ContentRange == nil || !strings.HasSuffix(*get.ContentRange, fmt.Sprint("/", len(bodies[step.key]))) {
				t.Errorf("%s %s: content range %v", step.key, step.rng, get.ContentRange)
			}
		}
		if got != step.want {
			t.Errorf("%s %s: got %q, want %q", step.key, step.rng, got, step.want)
		}
	}
	q := raw{method: "GET", target: "/bucket/small", header: map[string]string{"Range": "bytes=3-5"}}
	if status, text := q.send(t, url); status != http.StatusPartialContent || text != "345" {
		t.Errorf("a range is answered with %d %q", status, text)
	}
}

func TestSDKNotImplemented(t *testing.T) {
	ctx := context.Background()
	_, url := newTestServer(t)
	c := sdk(url, testAccount)
	bucket, key := aws.String("bucket"), aws.String("key")
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("x")}); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"copy": func() error {
			_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: key, CopySource: aws.String("bucket/key")})
			return err
		},
		"multipart": func() error {
			_, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
			return err
		},
		"part": func() error {
			_, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key, PartNumber: aws.Int32(1), UploadId: aws.String("u"), Body: strings.NewReader("x")})
			return err
		},
		"conditional put": func() error {
			_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, IfNoneMatch: aws.String("*"), Body: strings.NewReader("y")})
			return err
		},
		"conditional get": func() error {
			_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, IfMatch: aws.String(`"x"`)})
			return err
		},
		"version": func() error {
			_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, VersionId: aws.String("1")})
			return err
		},
		"versioning": func() error {
			_, err := c.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
			return err
		},
		"acl": func() error {
			_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, ACL: types.ObjectCannedACLPublicRead, Body: strings.NewReader("y")})
			return err
		},
		"tagging": func() error {
			_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Tagging: aws.String("a=b"), Body: strings.NewReader("y")})
			return err
		},
		"list of version 1": func() error { _, err := c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: bucket}); return err },
		"versions": func() error {
			_, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: bucket})
			return err
		},
		"type of the answer": func() error {
			_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key, ResponseContentType: aws.String("text/html")})
			return err
		},
		"delete of a version": func() error {
			_, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: key, VersionId: aws.String("1")}}}})
			return err
		},
		"presigned": func() error {
			r, err := s3.NewPresignClient(c).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
			if err != nil {
				return err
			}
			answer, err := http.Get(r.URL)
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			if b, _ := io.ReadAll(answer.Body); answer.StatusCode == 501 && strings.Contains(string(b), "<Code>NotImplemented</Code>") {
				return &smithy.GenericAPIError{Code: "NotImplemented"}
			}
			return errors.New(answer.Status)
		},
	} {
		if got := code(do()); got != "NotImplemented" {
			t.Errorf("%s: %q, want NotImplemented", name, got)
		}
	}
	get, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(get.Body); string(b) != "x" {
		t.Errorf("a refused request changed the object to %q", b)
	}
}
