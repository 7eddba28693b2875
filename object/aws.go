package object

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

const (
	dialPatience   = 5 * time.Second
	headerPatience = 60 * time.Second // for the first byte of an answer
	slowest        = 256 << 10        // bytes a second under which a body counts as hung
)

// awsClient is the Client over aws-sdk-go-v2. Retries are off: a retried
// request hides the fault that it met. Payloads are not signed, and no
// checksum is added: content knows itself, and what a checksum in the request
// would find is for the checks to find.
type awsClient struct {
	s3        *s3.Client
	region    string
	firstByte time.Duration // until the answer has begun
}

// NewClient is a client of the store at e.
func NewClient(e Endpoint) Client { return newClient(e, headerPatience) }

// newClient is a client that waits for the beginning of an answer for limit, but
// at least for probePatience and at most for headerPatience: a store that is slow
// is not away.
func newClient(e Endpoint, limit time.Duration) Client {
	limit = min(max(limit, probePatience), headerPatience)
	region := e.Region
	if region == "" {
		region = "us-east-1"
	}
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialPatience}).DialContext,
		TLSHandshakeTimeout:   dialPatience,
		ResponseHeaderTimeout: limit,
		TLSClientConfig:       e.tls(),
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       30 * time.Second,
		DisableCompression:    true,
		WriteBufferSize:       32 << 10,
		ReadBufferSize:        32 << 10,
	}
	return &awsClient{region: region, firstByte: limit, s3: s3.New(s3.Options{
		BaseEndpoint:               aws.String(e.URL()),
		Region:                     region,
		Credentials:                aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(e.AccessKey, e.SecretKey, "")),
		UsePathStyle:               true,
		HTTPClient:                 sender{&http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}},
		Retryer:                    aws.NopRetryer{},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		DisableLogOutputChecksumValidationSkipped: true,
	})}
}

// sender sends requests with bodies that can be read and nothing else. The SDK
// closes a body as soon as the answer has come, and its bodies' WriteTo then
// fails with io.EOF where net/http only looks for the end of one: it would
// close the connection with the answer half read.
type sender struct{ *http.Client }

// Do sends one request.
func (s sender) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return s.Client.Do(r)
}

// failed makes an *Error of what the SDK returned; nil stays nil.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Doing: doing, Err: err}
	var answer interface{ HTTPStatusCode() int }
	if errors.As(err, &answer) {
		e.Status = answer.HTTPStatusCode()
	}
	var api smithy.APIError
	if errors.As(err, &api) && !madeUp(api, e.Status) {
		e.Code, e.Message = clean(api.ErrorCode()), clean(api.ErrorMessage())
	}
	var cause *net.OpError
	var sending *url.Error
	switch { // without the SDK's own words around it
	case e.Status != 0:
	case errors.As(err, &cause):
		e.Err = cause
	case errors.As(err, &sending):
		e.Err = sending.Err
	}
	return e
}

// madeUp reports whether the SDK has made the error of a status, as there was no
// S3 error in the answer.
func madeUp(api smithy.APIError, status int) bool {
	text := http.StatusText(status)
	ofStatus := api.ErrorCode() == strings.ReplaceAll(text, " ", "") && (api.ErrorMessage() == "" || api.ErrorMessage() == text)
	return ofStatus || api.ErrorCode() == "UnknownError"
}

func (c *awsClient) CreateBucket(ctx context.Context, bucket, location string) error {
	in := &s3.CreateBucketInput{Bucket: &bucket}
	if location == "" && c.region != "us-east-1" {
		location = c.region
	}
	if location != "" {
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(location)}
	}
	_, err := c.s3.CreateBucket(ctx, in)
	return failed("create bucket "+bucket, err)
}

func (c *awsClient) DeleteBucket(ctx context.Context, bucket string) error {
	_, err := c.s3.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &bucket})
	return failed("delete bucket "+bucket, err)
}

// patience bounds a request that moves size bytes.
func (c *awsClient) patience(ctx context.Context, size int64) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.firstByte+time.Duration(size/slowest)*time.Second)
}

func (c *awsClient) Put(ctx context.Context, bucket, key string, body io.ReadSeeker, size int64) error {
	ctx, cancel := c.patience(ctx, size)
	defer cancel()
	_, err := c.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: body, ContentLength: &size},
		s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
	return failed("put "+bucket+"/"+key, err)
}

func (c *awsClient) Get(ctx context.Context, bucket, key string) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		cancel(nil)
		return nil, 0, failed("get "+bucket+"/"+key, err)
	}
	if out.ContentLength == nil {
		out.Body.Close()
		cancel(nil)
		return nil, 0, failed("get "+bucket+"/"+key, errors.New("the answer has no Content-Length"))
	}
	return hurried(out.Body, c.firstByte, cancel), *out.ContentLength, nil
}

// errStalled is why the body of an answer was given up.
var errStalled = errors.New("the body of the answer has stopped")

// hurriedBody is the body of an answer that is given up when no byte of it
// comes for too long.
type hurriedBody struct {
	io.ReadCloser
	longest time.Duration
	timer   *time.Timer
	cancel  context.CancelCauseFunc
}

func hurried(body io.ReadCloser, longest time.Duration, cancel context.CancelCauseFunc) *hurriedBody {
	return &hurriedBody{body, longest, time.AfterFunc(longest, func() { cancel(errStalled) }), cancel}
}

// Read reads what has come.
func (h *hurriedBody) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if n > 0 {
		h.timer.Reset(h.longest)
	}
	return n, err
}

// Close ends the request.
func (h *hurriedBody) Close() error {
	h.timer.Stop()
	err := h.ReadCloser.Close()
	h.cancel(nil)
	return err
}

func (c *awsClient) Delete(ctx context.Context, bucket, key string) error {
	ctx, cancel := c.patience(ctx, 0)
	defer cancel()
	_, err := c.s3.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	return failed("delete "+bucket+"/"+key, err)
}

func (c *awsClient) DeleteMany(ctx context.Context, bucket string, keys []string) error {
	ctx, cancel := c.patience(ctx, 0)
	defer cancel()
	in := &s3.DeleteObjectsInput{Bucket: &bucket, Delete: &types.Delete{Quiet: aws.Bool(true)}}
	for _, key := range keys {
		in.Delete.Objects = append(in.Delete.Objects, types.ObjectIdentifier{Key: &key})
	}
	out, err := c.s3.DeleteObjects(ctx, in)
	if err != nil {
		return failed("delete objects of "+bucket, err)
	}
	for _, e := range out.Errors {
		if aws.ToString(e.Code) == "NoSuchKey" {
			continue
		}
		return &Error{Doing: "delete " + bucket + "/" + aws.ToString(e.Key), Status: http.StatusOK, Code: clean(aws.ToString(e.Code)),
			Message: clean(aws.ToString(e.Message)), Err: errors.New("one of several objects was not deleted")}
	}
	return nil
}

func (c *awsClient) List(ctx context.Context, bucket, after string, limit int) ([]Listed, bool, error) {
	ctx, cancel := c.patience(ctx, 0)
	defer cancel()
	in := &s3.ListObjectsV2Input{Bucket: &bucket, MaxKeys: aws.Int32(int32(limit))}
	if after != "" {
		in.StartAfter = &after
	}
	out, err := c.s3.ListObjectsV2(ctx, in)
	if err != nil {
		return nil, false, failed("list "+bucket, err)
	}
	page := make([]Listed, len(out.Contents))
	for i, o := range out.Contents {
		page[i] = Listed{Key: aws.ToString(o.Key), Size: aws.ToInt64(o.Size)}
	}
	return page, aws.ToBool(out.IsTruncated), nil
}
