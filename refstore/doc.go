// Package refstore is an object store: a model of what one must do, an S3 face
// for it, and lies that it tells on purpose. It is the default target of assay
// and its specification of a store. It is no product: nothing outlives its
// process.
//
// # The model
//
// A Key is the state of one key, a value; Key.Step is pure and gives the state
// that an operation leaves and its answer. Everything else carries this out:
//
//   - a put is seen whole or not at all, and by every get and list that begins
//     after its answer; of two puts at once one comes first;
//   - a get answers with one version: its bytes, ETag (the MD5 of the bytes in
//     hexadecimal), size, user metadata and type are of one put, also when the
//     key is overwritten or deleted while the bytes are on their way;
//   - a delete is answered the same whether or not the key was there;
//   - a page of a list shows one moment. Keys are in the order of their bytes
//     and verbatim: no path is cleaned, so a/../b and b are two keys.
//
// # The S3 face
//
// S3 is an http.Handler, path-style: CreateBucket, HeadBucket, DeleteBucket,
// GetBucketLocation, ListBuckets, PutObject, GetObject and HeadObject (one
// range), DeleteObject, DeleteObjects, ListObjectsV2. Requests are signed with
// AWS Signature Version 4 in the Authorization header; bodies may be signed,
// unsigned, in signed chunks, or in unsigned chunks with a checksum as trailer.
// Every checksum that a client sends is compared. Whatever else a request asks
// for, by a parameter, a header or an element of XML that is not known, is
// refused with NotImplemented: nothing is silently left out.
//
// # Backends
//
// A store may have backends, each a store of its own with a bucket in it. A
// bucket created with a LocationConstraint of that name keeps its objects there
// too, under BUCKET/KEY, in the same step and before the answer. A body that
// lies in both is there once.
//
// # Lies
//
// A Lie makes a store break its promise about requests that it acknowledged.
// The damage is at rest: it is in the state that the request leaves, for all
// readers alike, and stays when the lie is over, until the key is written
// again. A lie counts a request as touched only if it left something wrong.
// What can be promised of each kind is at its constant. No lie damages a key
// other than those that Touched names (it names the first 16), none touches a
// request that was made to a backend directly, and without a lie nothing is
// ever wrong.
//
// # Bodies
//
// Bodies of at most 64 KiB are in memory, up to 512 MiB of them; all others are
// in one file without a name, so neither memory nor descriptors grow with
// their number, and a kill leaves nothing behind. Who streams a body holds it.
//
// # Running it
//
// Start runs a server with its backends in a child process, on loopback, each
// store with an account of its own, and gives their endpoints. The child reads
// its Config as one line of JSON on stdin, tells its addresses as one line of
// JSON on stdout, and ends when stdin or its parent does.
package refstore
