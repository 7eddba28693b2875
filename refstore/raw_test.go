package refstore

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// raw is a request as one would write it by hand; the SDK's signer signs it.
type raw struct {
	method, target string
	header         map[string]string
	body           string
	payload        string // x-amz-content-sha256; empty: the hash of body
	account        Credentials
	at             time.Time                             // empty: now
	service        string                                // empty: s3
	tamper         func(*http.Request)                   // after signing
	chunks         func(signature string, r *raw) string // makes body once the signature is known
}

func (q raw) request(t testing.TB, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(q.method, url+q.target, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	if q.payload == "" {
		q.payload = hexSHA256(q.body)
	}
	if q.account == (Credentials{}) {
		q.account = testAccount
	}
	if q.at.IsZero() {
		q.at = time.Now()
	}
	if q.service == "" {
		q.service = "s3"
	}
	r.Header.Set("X-Amz-Content-Sha256", q.payload)
	if q.chunks != nil {
		r.ContentLength = int64(len(q.chunks(strings.Repeat("0", 64), &q)))
	}
	err = v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: q.account.AccessKey, SecretAccessKey: q.account.SecretKey},
		r, q.payload, q.service, q.account.Region, q.at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		t.Fatal(err)
	}
	if q.chunks != nil {
		_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
		r.Body = io.NopCloser(strings.NewReader(q.chunks(signature, &q)))
	}
	if q.tamper != nil {
		q.tamper(r)
	}
	return r
}

// send gives the status and the code of the refusal, or the body.
func (q raw) send(t testing.TB, url string) (int, string) {
	t.Helper()
	answer, err := http.DefaultTransport.RoundTrip(q.request(t, url))
	if err != nil {
		t.Fatalf("%s %s: %v", q.method, q.target, err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if m := regexp.MustCompile(`<Error><Code>(.*?)</Code>`).FindSubmatch(b); m != nil {
		return answer.StatusCode, string(m[1])
	}
	return answer.StatusCode, string(b)
}

func hexSHA256(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
func b64MD5(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func b64CRC32(s string) string {
	h := crc32.NewIEEE()
	h.Write([]byte(s))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func TestSignature(t *testing.T) {
	store, url := newTestServer(t)
	if err := store.CreateBucket("bucket", ""); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	drop := func(header string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(header) } }
	set := func(header, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(header, value) }
	}
	for name, c := range map[string]struct {
		q    raw
		want string
	}{
		"right":                {raw{}, "200 "},
		"odd path":             {raw{target: "/bucket/a%20b%2Bc%21%24%40..//../x?x-id=PutObject"}, "200 "},
		"14 minutes old":       {raw{at: now.Add(-14 * time.Minute)}, "200 "},
		"16 minutes old":       {raw{at: now.Add(-16 * time.Minute)}, "403 RequestTimeTooSkewed"},
		"16 minutes ahead":     {raw{at: now.Add(16 * time.Minute)}, "403 RequestTimeTooSkewed"},
		"no header":            {raw{tamper: drop("Authorization")}, "403 AccessDenied"},
		"other scheme":         {raw{tamper: set("Authorization", "AWS key:signature")}, "501 NotImplemented"},
		"malformed":            {raw{tamper: set("Authorization", "AWS4-HMAC-SHA256 Credential=a/b")}, "400 AuthorizationHeaderMalformed"},
		"unknown key":          {raw{account: Credentials{"NOBODY", testAccount.SecretKey, "us-east-1"}}, "403 InvalidAccessKeyId"},
		"wrong secret":         {raw{account: Credentials{testAccount.AccessKey, "wrong", "us-east-1"}}, "403 SignatureDoesNotMatch"},
		"wrong region":         {raw{account: Credentials{testAccount.AccessKey, testAccount.SecretKey, "mars"}}, "400 AuthorizationHeaderMalformed"},
		"wrong service":        {raw{service: "ec2"}, "400 AuthorizationHeaderMalformed"},
		"another path":         {raw{tamper: func(r *http.Request) { r.URL.Path = "/bucket/other" }}, "403 SignatureDoesNotMatch"},
		"another query":        {raw{tamper: func(r *http.Request) { r.URL.RawQuery = "x-id=Other" }}, "403 SignatureDoesNotMatch"},
		"another method":       {raw{tamper: func(r *http.Request) { r.Method = "DELETE" }}, "403 SignatureDoesNotMatch"},
		"another host":         {raw{tamper: func(r *http.Request) { r.Host = "elsewhere" }}, "403 SignatureDoesNotMatch"},
		"another header":       {raw{header: map[string]string{"X-Amz-Meta-A": "1"}, tamper: set("X-Amz-Meta-A", "2")}, "403 SignatureDoesNotMatch"},
		"an unsigned header":   {raw{tamper: set("X-Amz-Meta-A", "2")}, "403 AccessDenied"},
		"another hash":         {raw{tamper: set("X-Amz-Content-Sha256", hexSHA256("other"))}, "403 SignatureDoesNotMatch"},
		"another time":         {raw{tamper: set("X-Amz-Date", now.UTC().Add(time.Second).Format(amzTime))}, "403 SignatureDoesNotMatch"},
		"no time":              {raw{tamper: drop("X-Amz-Date")}, "403 AccessDenied"},
		"no hash":              {raw{tamper: drop("X-Amz-Content-Sha256")}, "400 InvalidRequest"},
		"spaces in a header":   {raw{header: map[string]string{"X-Amz-Meta-A": "a   b    c"}}, "200 "},
		"a body of other hash": {raw{payload: hexSHA256("other")}, "400 XAmzContentSHA256Mismatch"},
		"a word for the hash":  {raw{payload: "SOMETHING"}, "400 InvalidArgument"},
		"unsigned body":        {raw{payload: unsignedPayload}, "200 "},
	} {
		t.Run(name, func(t *testing.T) {
			c.q.method, c.q.body = "PUT", "content"
			if c.q.target == "" {
				c.q.target = "/bucket/key"
			}
			status, text := c.q.send(t, url)
			if got := fmt.Sprint(status, " ", text); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if answer := store.Do("bucket", "key", Op{Verb: Delete}); answer.Err != nil {
				t.Fatal(answer.Err)
			}
		})
	}
}

func TestRawRequests(t *testing.T) {
	store, url := newTestServer(t)
	if err := store.CreateBucket("bucket", ""); err != nil {
		t.Fatal(err)
	}
	h := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	many := "<Delete>" + strings.Repeat("<Object><Key>k</Key></Object>", 1001) + "</Delete>"
	for name, c := range map[string]struct {
		q    raw
		want string
	}{
		"key too long":         {raw{method: "PUT", target: "/bucket/" + strings.Repeat("k", 1025)}, "400 KeyTooLongError"},
		"not UTF-8":            {raw{method: "PUT", target: "/bucket/%ff"}, "400 InvalidURI"},
		"no bucket name":       {raw{method: "GET", target: "//key"}, "400 InvalidBucketName"},
		"MD5":                  {raw{method: "PUT", body: "x", header: h("Content-Md5", b64MD5("x"))}, "200 "},
		"wrong MD5":            {raw{method: "PUT", body: "x", header: h("Content-Md5", b64MD5("y"))}, "400 BadDigest"},
		"bad MD5":              {raw{method: "PUT", body: "x", header: h("Content-Md5", "eA==")}, "400 InvalidDigest"},
		"empty MD5":            {raw{method: "PUT", body: "x", header: h("Content-Md5", "")}, "400 InvalidDigest"},
		"CRC32":                {raw{method: "PUT", body: "x", header: h("X-Amz-Checksum-Crc32", b64CRC32("x"))}, "200 "},
		"wrong CRC32":          {raw{method: "PUT", body: "x", header: h("X-Amz-Checksum-Crc32", b64CRC32("y"))}, "400 BadDigest"},
		"bad CRC32":            {raw{method: "PUT", body: "x", header: h("X-Amz-Checksum-Crc32", "eA==")}, "400 InvalidRequest"},
		"unknown checksum":     {raw{method: "PUT", body: "x", header: h("X-Amz-Checksum-Xxh3", "eA==")}, "501 NotImplemented"},
		"two checksums":        {raw{method: "PUT", body: "x", header: h("X-Amz-Checksum-Crc32", b64CRC32("x"), "X-Amz-Checksum-Sha1", "EfatjsUqKYSrqvz4c8FK6/u2HCQ=")}, "400 InvalidRequest"},
		"CRC64NVME":            {raw{method: "PUT", body: "123456789", header: h("X-Amz-Checksum-Crc64nvme", "rosUhgp5mIg=")}, "200 "},
		"CRC32C":               {raw{method: "PUT", body: "123456789", header: h("X-Amz-Checksum-Crc32c", "4waSgw==")}, "200 "},
		"other storage class":  {raw{method: "PUT", body: "x", header: h("X-Amz-Storage-Class", "GLACIER")}, "501 NotImplemented"},
		"much metadata":        {raw{method: "PUT", body: "x", header: h("X-Amz-Meta-A", strings.Repeat("m", 2048))}, "400 MetadataTooLarge"},
		"too large":            {raw{method: "PUT", payload: unsignedTrailer, header: h("X-Amz-Decoded-Content-Length", "67108865")}, "400 EntityTooLarge"},
		"no length":            {raw{method: "PUT", body: "x", tamper: func(r *http.Request) { r.ContentLength = -1; r.Header.Del("Content-Length") }}, "403 SignatureDoesNotMatch"},
		"no length, unsigned":  {raw{method: "PUT", payload: unsignedPayload, tamper: func(r *http.Request) { r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader("x")) }}, "411 MissingContentLength"},
		"body of a get":        {raw{method: "GET", body: "x"}, "400 UnexpectedContent"},
		"post":                 {raw{method: "POST", body: "x"}, "501 NotImplemented"},
		"post to a bucket":     {raw{method: "POST", target: "/bucket", body: "x"}, "501 NotImplemented"},
		"patch":                {raw{method: "PATCH", body: "x"}, "405 MethodNotAllowed"},
		"policy":               {raw{method: "GET", target: "/bucket?policy"}, "501 NotImplemented"},
		"parameter twice":      {raw{method: "GET", target: "/bucket?list-type=2&prefix=a&prefix=b"}, "400 InvalidArgument"},
		"list of version 3":    {raw{method: "GET", target: "/bucket?list-type=3"}, "400 InvalidArgument"},
		"max-keys -1":          {raw{method: "GET", target: "/bucket?list-type=2&max-keys=-1"}, "400 InvalidArgument"},
		"bad token":            {raw{method: "GET", target: "/bucket?list-type=2&continuation-token=x"}, "400 InvalidArgument"},
		"bucket XML":           {raw{method: "PUT", target: "/bucket2", body: "<a/>"}, "400 MalformedXML"},
		"bucket with more":     {raw{method: "PUT", target: "/bucket2", body: "<CreateBucketConfiguration><Tags/></CreateBucketConfiguration>"}, "501 NotImplemented"},
		"object lock":          {raw{method: "PUT", target: "/bucket2", header: h("X-Amz-Bucket-Object-Lock-Enabled", "true")}, "501 NotImplemented"},
		"delete no XML":        {raw{method: "POST", target: "/bucket?delete", body: "x"}, "400 MalformedXML"},
		"delete none":          {raw{method: "POST", target: "/bucket?delete", body: "<Delete/>"}, "400 MalformedXML"},
		"delete 1001":          {raw{method: "POST", target: "/bucket?delete", body: many}, "400 MalformedXML"},
		"delete no key":        {raw{method: "POST", target: "/bucket?delete", body: "<Delete><Object/></Delete>"}, "400 MalformedXML"},
		"delete in no bucket":  {raw{method: "POST", target: "/nobody?delete", body: "<Delete><Object><Key>k</Key></Object></Delete>"}, "404 NoSuchBucket"},
		"list no bucket":       {raw{method: "GET", target: "/nobody?list-type=2"}, "404 NoSuchBucket"},
		"get no key":           {raw{method: "GET", target: "/bucket/none"}, "404 NoSuchKey"},
		"delete no key at all": {raw{method: "DELETE", target: "/bucket/none"}, "204 "},
	} {
		t.Run(name, func(t *testing.T) {
			if c.q.target == "" {
				c.q.target = "/bucket/key"
			}
			status, text := c.q.send(t, url)
			if got := fmt.Sprint(status, " ", text); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			there := store.Do("bucket", "key", Op{Verb: Head}).Err == nil
			if stored := c.want == "200 "; there != stored {
				t.Errorf("the key is there: %v, want %v", there, stored)
			}
			store.Do("bucket", "key", Op{Verb: Delete})
		})
	}
}

// TestNoObjectLock: a client that asks for no object lock asks for nothing.
func TestNoObjectLock(t *testing.T) {
	store, url := newTestServer(t)
	q := raw{method: "PUT", target: "/bucket", header: map[string]string{"X-Amz-Bucket-Object-Lock-Enabled": "false"}}
	if status, text := q.send(t, url); status != http.StatusOK {
		t.Errorf("got %d %s", status, text)
	}
	if _, err := store.Bucket("bucket"); err != nil {
		t.Error(err)
	}
}

// chunked is body in pieces of the aws-chunked encoding, signed if key is not nil.
func chunked(body string, piece int, signature string, sign func(previous, data string) string, trailer string) string {
	var b strings.Builder
	for {
		n := min(piece, len(body))
		fmt.Fprintf(&b, "%x", n)
		if sign != nil {
			signature = sign(signature, body[:n])
			b.WriteString(";chunk-signature=" + signature)
		}
		b.WriteString("\r\n")
		if n == 0 {
			b.WriteString(trailer + "\r\n")
			return b.String()
		}
		b.WriteString(body[:n] + "\r\n")
		body = body[n:]
	}
}

func TestChunkedBodies(t *testing.T) {
	store, url := newTestServer(t)
	if err := store.CreateBucket("bucket", ""); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("0123456789", 2000)
	unsigned := func(encoded, trailer string, more ...string) raw {
		header := map[string]string{"X-Amz-Decoded-Content-Length": fmt.Sprint(len(body)), "Content-Encoding": "aws-chunked"}
		if trailer != "" {
			header["X-Amz-Trailer"] = trailer
		}
		for i := 0; i < len(more); i += 2 {
			header[more[i]] = more[i+1]
		}
		return raw{body: encoded, payload: unsignedTrailer, header: header}
	}
	crc := "x-amz-checksum-crc32:" + b64CRC32(body) + "\r\n"
	good := chunked(body, 7000, "", nil, crc)
	at := time.Now().UTC()
	signer := func(secret string) func(string, *raw) string {
		return func(signature string, q *raw) string {
			key := []byte("AWS4" + secret)
			mac := func(key []byte, s string) []byte {
				h := hmac.New(sha256.New, key)
				h.Write([]byte(s))
				return h.Sum(nil)
			}
			scope := at.Format("20060102") + "/us-east-1/s3/aws4_request"
			for part := range strings.SplitSeq(scope, "/") {
				key = mac(key, part)
			}
			return chunked(body, 8192, signature, func(previous, data string) string {
				return hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256-PAYLOAD\n"+at.Format(amzTime)+"\n"+scope+"\n"+previous+"\n"+hexSHA256("")+"\n"+hexSHA256(data)))
			}, "")
		}
	}
	signed := func(secret string) raw {
		return raw{payload: signedChunks, at: at, header: map[string]string{"X-Amz-Decoded-Content-Length": fmt.Sprint(len(body))}, chunks: signer(secret)}
	}
	for name, c := range map[string]struct {
		q    raw
		want string
	}{
		"whole":             {unsigned(good, "x-amz-checksum-crc32"), "200 "},
		"no trailer":        {unsigned(chunked(body, 9, "", nil, ""), ""), "200 "},
		"upper case size":   {unsigned(strings.Replace(good, "1b58\r\n", "1B58\r\n", 1), "x-amz-checksum-crc32"), "200 "},
		"wrong trailer":     {unsigned(chunked(body, 7000, "", nil, "x-amz-checksum-crc32:"+b64CRC32("x")+"\r\n"), "x-amz-checksum-crc32"), "400 BadDigest"},
		"missing trailer":   {unsigned(chunked(body, 7000, "", nil, ""), "x-amz-checksum-crc32"), "400 MalformedTrailerError"},
		"surprise trailer":  {unsigned(good, ""), "400 MalformedTrailerError"},
		"other trailer":     {unsigned(good, "x-amz-checksum-sha1"), "400 MalformedTrailerError"},
		"unknown trailer":   {unsigned(good, "x-amz-mood"), "501 NotImplemented"},
		"damaged":           {unsigned(strings.Replace(good, "0123", "0124", 1), "x-amz-checksum-crc32"), "400 BadDigest"},
		"cut in a chunk":    {unsigned(good[:10000], "x-amz-checksum-crc32"), "400 IncompleteBody"},
		"cut after a chunk": {unsigned(good[:7000+8], "x-amz-checksum-crc32"), "400 IncompleteBody"},
		"cut in trailer":    {unsigned(good[:len(good)-3], "x-amz-checksum-crc32"), "400 IncompleteBody"},
		"more behind":       {unsigned(good+"x", "x-amz-checksum-crc32"), "400 InvalidRequest"},
		"bare line feeds":   {unsigned(strings.ReplaceAll(good, "\r\n", "\n"), "x-amz-checksum-crc32"), "400 InvalidRequest"},
		"negative size":     {unsigned("-1\r\n", ""), "400 InvalidRequest"},
		"huge size":         {unsigned("fffffffffffffffff\r\n", ""), "400 InvalidRequest"},
		"wrong length":      {unsigned(good, "x-amz-checksum-crc32", "X-Amz-Decoded-Content-Length", "19999"), "400 IncompleteBody"},
		"longer length":     {unsigned(good, "x-amz-checksum-crc32", "X-Amz-Decoded-Content-Length", "20001"), "400 IncompleteBody"},
		"no length":         {unsigned(good, "x-amz-checksum-crc32", "X-Amz-Decoded-Content-Length", ""), "411 MissingContentLength"},
		"signed":            {signed(testAccount.SecretKey), "200 "},
		"wrongly signed":    {signed("other"), "403 SignatureDoesNotMatch"},
		"signed trailer":    {raw{payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", body: good}, "501 NotImplemented"},
	} {
		t.Run(name, func(t *testing.T) {
			c.q.method, c.q.target = "PUT", "/bucket/key"
			status, text := c.q.send(t, url)
			if got := fmt.Sprint(status, " ", text); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			got, there := getString(t, store, "bucket", "key")
			if stored := c.want == "200 "; there != stored || stored && got != body {
				t.Errorf("the key is there: %v, want %v; %d bytes", there, stored, len(got))
			}
			if there {
				if v := store.Do("bucket", "key", Op{Verb: Head}).Version; len(v.Fields) > 0 {
					t.Errorf("kept %v", v.Fields)
				}
			}
			store.Do("bucket", "key", Op{Verb: Delete})
		})
	}
	if n := store.bodies.bytes.Load(); n != 0 {
		t.Errorf("%d bytes left", n)
	}
}

// A client that goes away in the middle of a body has stored nothing.
func TestBrokenConnection(t *testing.T) {
	store, url := newTestServer(t)
	if err := store.CreateBucket("bucket", ""); err != nil {
		t.Fatal(err)
	}
	putString(t, store, "bucket", "key", "before")
	r := raw{method: "PUT", target: "/bucket/key", body: strings.Repeat("x", 50_000)}.request(t, url)
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(b.Bytes()[:b.Len()-1]); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !bytes.Contains(answer, []byte("IncompleteBody")) {
		t.Errorf("answered %q, error %v", answer, err)
	}
	if got, _ := getString(t, store, "bucket", "key"); got != "before" {
		t.Errorf("the key holds %d bytes", len(got))
	}
}
