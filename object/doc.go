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
// # What an answer tells
//
// Not every answer of a store tells something of the data. answer.go has the one
// table. Only what was done, a whole body, a whole listing, and 404 with the S3
// error NoSuchKey or NoSuchBucket do, and only these can make a finding. A
// refusal for a reason of the store's own (it throttles, is under maintenance, has no
// nodes or no quota left, does not take the credentials or the clock), an answer
// of what stands in front of it, a body that ends early and no answer at all have
// lost nothing.
//
// Of the latter a check makes the request again, with pauses that grow and are
// drawn, for as long as World.Patience lasts; 5 s where waiting changes nothing.
// Then the check is broken, which makes the run inconclusive; what it has seen
// of other objects stands, and one object that the store never tells of does not
// end it. A test repeats no operation: what became of it is in the history. So it
// holds the others back, lets one at a time through until the store tells
// something again, and gives up when patience ends. How long nothing has come is
// said while it lasts, and the report counts what the store said instead.
//
// A second look at what a check has found, 200 ms later, may see what is owed. The
// finding stands, as S3 promises strong read-after-write consistency, and the
// first look was a whole answer of the store's: somebody who had asked then was told
// that the object is not there. It says so in Found, and is not Stable. A second
// look that is refused shows nothing. What never was such an answer makes no
// finding, and so there is none to withdraw.
//
// A delete that is answered NoSuchKey is recorded as refused; where the object was
// put and no other delete can have taken effect, it is reported as such. S3 answers
// 204 to it, there or not.
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
