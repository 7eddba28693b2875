package refstore

import "net/http"

// Error is a refusal as S3 words it. The Err values of this package are its
// only sources; a copy of one may carry another message, and errors.Is
// compares codes only.
type Error struct {
	Code    string // what a client decides by, such as "NoSuchKey"
	Status  int    // of HTTP
	Message string // for people
}

// Error is the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Is tells whether target is an *Error of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// because is e with a message that fits the case better.
func (e *Error) because(message string) *Error {
	return &Error{Code: e.Code, Status: e.Status, Message: message}
}

// The refusals. Codes and status numbers are those of the list of error
// responses in the Amazon S3 API reference.
var (
	ErrAccessDenied            = &Error{"AccessDenied", http.StatusForbidden, "the request is not allowed"}
	ErrAuthorizationMalformed  = &Error{"AuthorizationHeaderMalformed", http.StatusBadRequest, "the Authorization header is not a signature of version 4 for this store"}
	ErrBadDigest               = &Error{"BadDigest", http.StatusBadRequest, "the body does not have the checksum that was sent with it"}
	ErrBucketAlreadyOwned      = &Error{"BucketAlreadyOwnedByYou", http.StatusConflict, "the bucket exists already and is yours"}
	ErrBucketNotEmpty          = &Error{"BucketNotEmpty", http.StatusConflict, "the bucket is not empty"}
	ErrEntityTooLarge          = &Error{"EntityTooLarge", http.StatusBadRequest, "the body is larger than one request may store"}
	ErrIncompleteBody          = &Error{"IncompleteBody", http.StatusBadRequest, "the body is not as long as was announced"}
	ErrInternal                = &Error{"InternalError", http.StatusInternalServerError, "the store could not do it"}
	ErrInvalidAccessKeyID      = &Error{"InvalidAccessKeyId", http.StatusForbidden, "the access key is not known here"}
	ErrInvalidArgument         = &Error{"InvalidArgument", http.StatusBadRequest, "an argument is not valid"}
	ErrInvalidBucketName       = &Error{"InvalidBucketName", http.StatusBadRequest, "the bucket name is not valid"}
	ErrInvalidDigest           = &Error{"InvalidDigest", http.StatusBadRequest, "Content-MD5 is not the base64 of 16 bytes"}
	ErrInvalidLocation         = &Error{"InvalidLocationConstraint", http.StatusBadRequest, "no backend has the name of the location constraint"}
	ErrInvalidRange            = &Error{"InvalidRange", http.StatusRequestedRangeNotSatisfiable, "the range asked for is not in the object"}
	ErrInvalidRequest          = &Error{"InvalidRequest", http.StatusBadRequest, "the request is not valid"}
	ErrInvalidURI              = &Error{"InvalidURI", http.StatusBadRequest, "the request target cannot be understood"}
	ErrKeyTooLong              = &Error{"KeyTooLongError", http.StatusBadRequest, "the key is too long"}
	ErrMalformedTrailer        = &Error{"MalformedTrailerError", http.StatusBadRequest, "the trailer is not the one announced in x-amz-trailer"}
	ErrMalformedXML            = &Error{"MalformedXML", http.StatusBadRequest, "the XML of the request is not what this request takes"}
	ErrMetadataTooLarge        = &Error{"MetadataTooLarge", http.StatusBadRequest, "the user metadata is longer than 2048 bytes"}
	ErrMethodNotAllowed        = &Error{"MethodNotAllowed", http.StatusMethodNotAllowed, "the method is not allowed on this resource"}
	ErrMissingContentLength    = &Error{"MissingContentLength", http.StatusLengthRequired, "the request needs a Content-Length"}
	ErrNoSuchBucket            = &Error{"NoSuchBucket", http.StatusNotFound, "the bucket does not exist"}
	ErrNoSuchKey               = &Error{"NoSuchKey", http.StatusNotFound, "the key does not exist"}
	ErrNotImplemented          = &Error{"NotImplemented", http.StatusNotImplemented, "the store does not do what the request asks for"}
	ErrRequestTimeTooSkewed    = &Error{"RequestTimeTooSkewed", http.StatusForbidden, "the time of the request is more than 15 minutes away from that of the store"}
	ErrSignatureDoesNotMatch   = &Error{"SignatureDoesNotMatch", http.StatusForbidden, "the signature of the request is not that of its content under this access key"}
	ErrUnexpectedContent       = &Error{"UnexpectedContent", http.StatusBadRequest, "the request takes no body"}
	ErrContentSHA256Mismatch   = &Error{"XAmzContentSHA256Mismatch", http.StatusBadRequest, "the body does not have the hash in x-amz-content-sha256"}
	ErrInvalidContentSHA256    = &Error{"InvalidArgument", http.StatusBadRequest, "x-amz-content-sha256 is neither a hash nor a known word"}
	ErrInvalidChunk            = &Error{"InvalidRequest", http.StatusBadRequest, "the body is not the aws-chunked encoding that was announced"}
	ErrInvalidChecksumHeader   = &Error{"InvalidRequest", http.StatusBadRequest, "the checksum header is not valid"}
	ErrMultipleChecksumHeaders = &Error{"InvalidRequest", http.StatusBadRequest, "more than one checksum was sent"}
)
