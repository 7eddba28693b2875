package refstore

import (
	"encoding/xml"
	"net/http"
)

const (
	bucketXMLMax = 64 << 10
	deleteXMLMax = 2 << 20
	deleteMax    = 1000 // keys of one DeleteObjects
)

func (q *request) listBuckets() *Error {
	if err := q.noBody(); err != nil {
		return err
	}
	x := q.newXML()
	defer x.done()
	x.root("ListAllMyBucketsResult")
	q.owner(x)
	x.open("Buckets")
	for _, b := range q.s3.store.Buckets() {
		x.open("Bucket")
		x.text("Name", b.Name)
		x.time("CreationDate", b.Created)
		x.close("Bucket")
	}
	x.close("Buckets")
	x.close("ListAllMyBucketsResult")
	x.send(http.StatusOK)
	return nil
}

func (q *request) owner(x xmlWriter) {
	x.open("Owner")
	x.text("ID", q.s3.signatures.credentials.AccessKey)
	x.close("Owner")
}

// createBucketBody is what CreateBucket takes; Other catches the rest, which
// would ask for more than a name.
type createBucketBody struct {
	XMLName            xml.Name `xml:"CreateBucketConfiguration"`
	LocationConstraint string   `xml:"LocationConstraint"`
	Other              []other  `xml:",any"`
}

type other struct{ XMLName xml.Name }

func (q *request) createBucket() *Error {
	if err := q.only(); err != nil {
		return err
	}
	body, err := q.smallBody(bucketXMLMax)
	if err != nil {
		return err
	}
	location, err := parseCreateBucket(body)
	if err != nil {
		return err
	}
	if location == q.s3.region {
		location = ""
	}
	if err := q.s3.store.CreateBucket(q.bucket, location); err != nil {
		return err
	}
	q.w.Header()["Location"] = []string{"/" + q.bucket}
	return q.empty(http.StatusOK)
}

func parseCreateBucket(body []byte) (location string, err *Error) {
	if len(body) == 0 {
		return "", nil
	}
	var c createBucketBody
	if xml.Unmarshal(body, &c) != nil {
		return "", ErrMalformedXML
	}
	if len(c.Other) > 0 {
		return "", ErrNotImplemented.because("the element " + c.Other[0].XMLName.Local + " of CreateBucketConfiguration")
	}
	return c.LocationConstraint, nil
}

func (q *request) headBucket() *Error {
	if err := q.plain(); err != nil {
		return err
	}
	if _, err := q.s3.store.Bucket(q.bucket); err != nil {
		return err
	}
	q.w.Header()["X-Amz-Bucket-Region"] = []string{q.s3.region}
	return q.empty(http.StatusOK)
}

func (q *request) deleteBucket() *Error {
	if err := q.plain(); err != nil {
		return err
	}
	if err := q.s3.store.DeleteBucket(q.bucket); err != nil {
		return err
	}
	return q.empty(http.StatusNoContent)
}

// plain refuses parameters other than names, and a body.
func (q *request) plain(names ...string) *Error {
	if err := q.only(names...); err != nil {
		return err
	}
	return q.noBody()
}

func (q *request) bucketLocation() *Error {
	if err := q.plain("location"); err != nil {
		return err
	}
	b, err := q.s3.store.Bucket(q.bucket)
	if err != nil {
		return err
	}
	x := q.newXML()
	defer x.done()
	x.root("LocationConstraint")
	escapeXML(x.b, b.Location)
	x.close("LocationConstraint")
	x.send(http.StatusOK)
	return nil
}

// deleteBody is what DeleteObjects takes.
type deleteBody struct {
	XMLName xml.Name `xml:"Delete"`
	Quiet   bool     `xml:"Quiet"`
	Objects []struct {
		Key   *string `xml:"Key"`
		Other []other `xml:",any"`
	} `xml:"Object"`
	Other []other `xml:",any"`
}

// parseDelete reads the keys that a DeleteObjects names. Versions and
// conditions are not known.
func parseDelete(body []byte) (keys []string, quiet bool, err *Error) {
	var d deleteBody
	if xml.Unmarshal(body, &d) != nil || len(d.Objects) == 0 || len(d.Objects) > deleteMax || len(d.Other) > 0 {
		return nil, false, ErrMalformedXML
	}
	for _, o := range d.Objects {
		if len(o.Other) > 0 {
			return nil, false, ErrNotImplemented.because("the element " + o.Other[0].XMLName.Local + " of an object to delete")
		}
		if o.Key == nil || *o.Key == "" {
			return nil, false, ErrMalformedXML
		}
		keys = append(keys, *o.Key)
	}
	return keys, d.Quiet, nil
}

func (q *request) deleteObjects() *Error {
	if !q.has("delete") {
		return ErrNotImplemented.because("a POST to a bucket that is no DeleteObjects")
	}
	if err := q.only("delete"); err != nil {
		return err
	}
	body, err := q.smallBody(deleteXMLMax)
	if err != nil {
		return err
	}
	keys, quiet, err := parseDelete(body)
	if err != nil {
		return err
	}
	if _, err := q.s3.store.Bucket(q.bucket); err != nil {
		return err
	}
	x := q.newXML()
	defer x.done()
	x.root("DeleteResult")
	for _, key := range keys {
		answer := q.s3.store.Do(q.bucket, key, Op{Verb: Delete})
		switch {
		case answer.Err != nil:
			x.open("Error")
			x.text("Key", key)
			x.text("Code", answer.Err.Code)
			x.text("Message", answer.Err.Message)
			x.close("Error")
		case !quiet:
			x.open("Deleted")
			x.text("Key", key)
			x.close("Deleted")
		}
	}
	x.close("DeleteResult")
	x.send(http.StatusOK)
	return nil
}
