package refstore

import (
	"bytes"
	"net/http"
	"strconv"
)

// pageMax is how much of a list one answer holds at most.
const pageMax = 1000

// parseList reads the parameters of ListObjectsV2.
func parseList(t *target) (q ListQuery, encode bool, err *Error) {
	if !t.has("list-type") {
		return q, false, ErrNotImplemented.because("ListObjects of version 1, or an unknown GET of a bucket")
	}
	if err := t.only("list-type", "prefix", "delimiter", "start-after", "continuation-token", "max-keys", "encoding-type", "fetch-owner"); err != nil {
		return q, false, err
	}
	if t.get("list-type") != "2" {
		return q, false, ErrInvalidArgument.because("list-type must be 2")
	}
	q = ListQuery{
		Prefix:     t.get("prefix"),
		Delimiter:  t.get("delimiter"),
		StartAfter: t.get("start-after"),
		Token:      t.get("continuation-token"),
		Max:        pageMax,
	}
	if t.has("continuation-token") && q.Token == "" {
		return q, false, ErrInvalidArgument.because("the continuation token is empty")
	}
	if t.has("max-keys") {
		n, ok := offset(t.get("max-keys"))
		if !ok || t.get("max-keys") == "" {
			return q, false, ErrInvalidArgument.because("max-keys must be a whole number from 0")
		}
		q.Max = int(min(n, pageMax))
	}
	switch t.get("encoding-type") {
	case "":
		return q, false, nil
	case "url":
		return q, true, nil
	default:
		return q, false, ErrInvalidArgument.because("encoding-type must be url")
	}
}

func (q *request) listObjects() *Error {
	query, encode, err := parseList(&q.target)
	if err != nil {
		return err
	}
	if err := q.noBody(); err != nil {
		return err
	}
	page, err := q.s3.store.List(q.bucket, query)
	if err != nil {
		return err
	}
	x := q.newXML()
	defer x.done()
	x.root("ListBucketResult")
	x.text("Name", q.bucket)
	name := func(element, value string) {
		x.open(element)
		writeName(x.b, value, encode)
		x.close(element)
	}
	name("Prefix", query.Prefix)
	if query.Delimiter != "" {
		name("Delimiter", query.Delimiter)
	}
	if query.StartAfter != "" {
		name("StartAfter", query.StartAfter)
	}
	if query.Token != "" {
		x.text("ContinuationToken", query.Token)
	}
	if encode {
		x.text("EncodingType", "url")
	}
	x.number("MaxKeys", int64(query.Max))
	x.number("KeyCount", int64(len(page.Keys)+len(page.Prefixes)))
	x.text("IsTruncated", strconv.FormatBool(page.Truncated))
	if page.Truncated {
		x.text("NextContinuationToken", page.Next)
	}
	owner := q.get("fetch-owner") == "true"
	for i := range page.Keys {
		k := &page.Keys[i]
		x.open("Contents")
		name("Key", k.Name)
		x.time("LastModified", k.Modified)
		x.open("ETag")
		x.b.WriteString("&quot;" + k.ETag + "&quot;")
		x.close("ETag")
		x.number("Size", k.Size)
		x.text("StorageClass", "STANDARD")
		if owner {
			q.owner(x)
		}
		x.close("Contents")
	}
	for _, p := range page.Prefixes {
		x.open("CommonPrefixes")
		name("Prefix", p)
		x.close("CommonPrefixes")
	}
	x.close("ListBucketResult")
	x.send(http.StatusOK)
	return nil
}

// writeName writes a key or a part of one. With encoding-type=url a space
// becomes %20, which those who decode a plus sign as a space and those who do
// not read alike.
func writeName(b *bytes.Buffer, name string, encode bool) {
	if encode {
		encodeURI(b, name, true)
		return
	}
	escapeXML(b, name)
}
