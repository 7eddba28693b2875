package object

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
)

// answer is what an answer of a store, or its absence, says of the data that
// was asked for. Only the first kind may make a finding.
type answer uint8

const (
	// telling is an answer about the data: it was done, here it is, or there is
	// no such object.
	telling answer = iota
	// passing is a refusal for a reason of the store's own that ends by itself:
	// it throttles, is under maintenance, has too few of its nodes, or something
	// in front of it has no store to pass the request on to.
	passing
	// lasting is a refusal that stays until somebody changes something: the
	// credentials, the clock, a quota, the request.
	lasting
	// silent is no answer, or one that ended before it was complete.
	silent
)

// String names the kind for messages.
func (a answer) String() string {
	return [...]string{"an answer", "a refusal that passes", "a refusal that lasts", "no answer"}[a]
}

// byCode has the S3 error codes that their HTTP status alone would put into
// the wrong kind. Every other one goes by its status: see answerOf.
//
// Sources: "Error responses" in the Amazon S3 API reference; cmd/api-errors.go
// of MinIO for XMinio codes; rgw_common.cc of Ceph for QuotaExceeded and
// UserSuspended, which it sends with status 403.
var byCode = map[string]answer{
	"NoSuchKey":    telling,
	"NoSuchBucket": telling,

	"Busy":                   passing, // Ceph
	"OperationAborted":       passing, // 409: a conflicting operation is under way; try again
	"RequestLimitExceeded":   passing,
	"RequestThrottled":       passing,
	"RequestTimeout":         passing, // 400: the store waited too long for the body
	"ServiceUnavailable":     passing,
	"SlowDown":               passing,
	"SlowDownRead":           passing, // MinIO
	"SlowDownWrite":          passing, // MinIO
	"Throttling":             passing,
	"ThrottlingException":    passing,
	"TooManyRequests":        passing,
	"BandwidthLimitExceeded": passing,

	"NotImplemented": lasting, // 501: no patience makes it do what it cannot
}

// answerOf classifies what became of a request. The rules, first match first:
//
//	nil                                     telling
//	404 with the S3 error NoSuchKey or
//	NoSuchBucket                            telling
//	no status, or one of the 200s           silent   reset, timeout, refused connection, truncated body
//	a code of byCode                        passing or lasting, as it says
//	408, 425, 429, any of the 500s          passing  InternalError, SlowDown, XMinioServerNotInitialized,
//	                                                 an HTML 503 of a load balancer
//	any other without an S3 error           passing  something in front of the store speaks, not the store
//	any other with an S3 error              lasting  AccessDenied, ExpiredToken, InvalidAccessKeyId,
//	                                                 SignatureDoesNotMatch, RequestTimeTooSkewed,
//	                                                 QuotaExceeded, InvalidObjectState, PermanentRedirect
//
// The credentials that a run was given do not change while it goes on, and so
// an ExpiredToken lasts. So does a clock that is wrong by 15 minutes.
func answerOf(err error) answer {
	if err == nil || Absent(err) {
		return telling
	}
	var e *Error
	if !errors.As(err, &e) {
		return silent
	}
	kind, known := byCode[e.Code]
	switch {
	case e.Status == 0 && e.Code == "", e.Status/100 == 2 && e.Code == "":
		return silent
	case known && kind != telling:
		return kind
	case e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooEarly,
		e.Status == http.StatusTooManyRequests, e.Status >= 500, e.Code == "":
		return passing
	default:
		return lasting
	}
}

// Absent reports whether the store answered that the object, or its bucket, is
// not there. A status of 404 alone does not say so: it may come from something
// in front of the store.
func Absent(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusNotFound {
		return false
	}
	kind, known := byCode[e.Code]
	return known && kind == telling
}

// Answer is what the store said, without what it was said of, so that equal
// answers to many requests are equal: "SlowDown (HTTP status 503)".
func (e *Error) Answer() string {
	switch {
	case e.Code != "" && e.Status != 0:
		return fmt.Sprintf("%s (HTTP status %d)", e.Code, e.Status)
	case e.Code != "":
		return e.Code
	case e.Status/100 == 2:
		return fmt.Sprintf("HTTP status %d, and an answer that is not complete", e.Status)
	case e.Status != 0:
		return strings.TrimSpace(fmt.Sprintf("HTTP status %d %s", e.Status, http.StatusText(e.Status))) + ", and no S3 error in the answer"
	default:
		return "no answer"
	}
}

const messageMax = 300 // bytes of a store's message that are kept

// clean is a message of the store, fit for a line of a report.
func clean(message string) string {
	message = strings.Join(strings.FieldsFunc(message, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(message) > messageMax {
		return strings.ToValidUTF8(message[:messageMax], "") + "…"
	}
	return message
}
