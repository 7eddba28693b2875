// Package object has buckets as targets: it makes them on a store that speaks
// S3 (the reference store where no endpoint is given), drives operations against
// them, and judges what they hold.
//
// # What a store owes
//
// An acknowledged put, delete or copy is owed at once, whole, to every reader.
// What the store refused with an S3 error, or did not answer, may be there or
// not; an operation without an answer may take effect at any later time. There
// is no sync. Package owed interprets this, and no check does.
//
// # What is written where
//
// The object KEY of a bucket has content of (seed of the plan, BUCKET/KEY,
// generation): see package content. Generations are numbered over the whole plan,
// a span to each test, so that the content of every put is known by its place in
// the plan and not by who did it when. A bucket's name has a random part: what an
// earlier run has left behind is foreign.
//
// # Evidence
//
// Every request is in the history before it is sent, and again when it was
// answered. Retries are off in the client: a retried request hides the fault that
// it met. Reads classify their bytes as they stream, so that no object is ever
// held whole, save those too short to name themselves.
package object
