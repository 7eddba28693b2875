// Package history owns the record of what was done to a target: what was
// issued, acknowledged, refused, left unknown, synced and observed, and the
// faults that came and went. It is written so that a crash at any instant
// leaves it readable and true. It decides nothing; package owed does.
//
// A [Writer] appends to a directory of segment files; [ReadDir] and [Merge] read
// them back, also while they are being written. See the example.
//
// # What is promised
//
// The storage under the history is taken to be honest: what fdatasync(2) and
// fsync(2) have returned for is on it. A history is therefore kept on other
// storage than the target; that is for the caller to see to.
//
//   - SIGKILL of the writer at any instant: every record whose Append or Begin
//     returned is read back. The record is then in a page of the kernel's page
//     cache, by way of a shared mapping.
//   - The machine lost at any instant (power, kernel): every record appended
//     before a Sync that returned is read back. Of what came later any page or
//     sector may be missing, zero, or of an earlier time, in any combination;
//     the history ends at the first record that cannot be read.
//   - Something durable altered or gone (a flipped bit, a lost page, a cut
//     file, a missing segment): a [DamageError] with the place, after the
//     records before it. Never a record that was not written, never silently
//     less than what a mark says was there. One fault of up to a sector or a
//     page is always seen. Several at once are not if they take all marks of a
//     Sync along: the one behind the records and both anchors.
//   - A full disk: room is allocated before it is needed, so ENOSPC is an error
//     of Create, Append, Begin or Checkpoint, before the operation begins.
//     fallocate(2) is asked first; a file system that cannot do it gets zeros,
//     synced. (One that breaks that promise, a thin pool run dry, is an error
//     of Append as well: the fault on the mapped page is caught.)
//   - A sync of the history that fails: the writer refuses everything from then
//     on. The next sync might return success and mean nothing.
//
// # The directory
//
// A history is a directory. Segment n is the file NNNNNN.assay, n in decimal
// with six digits or more, from 1. "lock" is held with flock(2) by the writer.
// A name that ends in ".assay.new" is a segment not yet finished: it holds no
// record that was promised, and readers pass it by, like all other names. A
// finished segment, header and room, is durable before it gets its name, and
// the name is durable before a record is appended.
//
// Before segment n+1 is named, all of segment n is durable. Only a killed
// writer leaves a segment without a known end, and only as the last one.
//
// # A segment
//
// Integers are little-endian. "CRC" is CRC-32C (Castagnoli, reflected, initial
// value and final inversion as in RFC 3720) unless it is said otherwise.
//
//	   0  header, 128 bytes; the rest of the block is zero
//	4096  anchor A, a slot: the newest sync mark or the one before
//	4608  anchor B, a slot: the other one
//	5120  end slot: where the records end, once that is known
//	8192  frames
//
// The header:
//
//	  0  "assayHST"
//	  8  uint32  version, 2
//	 12  uint32  writer
//	 16  uint64  number of this segment
//	 24  uint64  number of the segment with which reading begins: 1, or that of
//	             the newest checkpoint; equal to the one before in a checkpoint
//	 32  16 bytes boot id of the machine, as in /proc/sys/kernel/random/boot_id
//	 48  int64   wall time at creation, ns since 1970 UTC
//	 56  int64   CLOCK_BOOTTIME at creation, ns
//	 64  uint64  nonce, random, not 0
//	 72  uint64  records in all segments before, removed ones included
//	 80  uint64  highest operation number that this writer has used before
//	 88  uint64  bytes allocated: the file is that long until it is closed
//	 96  uint64  nonce of the segment before, 0 if none
//	104  uint64  where the records of the segment before end, 0 if none
//	112  zero
//	124  uint32  CRC of bytes 0 to 123
//
// A slot is 64 bytes at a multiple of 64, so that no sector boundary parts it
// and it can be found where nothing before it can be read:
//
//	 0  "assayMRK"
//	 8  uint64  nonce of the segment
//	16  uint64  offset of this slot in the segment
//	24  uint64  covered: bytes 0 to covered-1 were durable when it was written
//	32  uint64  records of the segment before the slot (or before the end)
//	40  uint32  1: sync mark; 2: the history was closed here; 3: the next
//	            segment was begun, and is durable
//	44  zero
//	60  uint32  CRC of bytes 0 to 59
//
// Frames follow one another without a gap. A frame is a record:
//
//	uint32   CRC of the following two, continued from the value
//	         (low half of the nonce) XOR (low half of the frame's offset)
//	varint   length of the body, 1 or more
//	body
//
// or a sync mark: zeros up to the next multiple of 64, then a slot of kind 1.
// A CRC is a bijection of the value it is continued from, so a record that was
// copied to another place of its segment never passes. A length of 0 is no
// record. Sync makes the data durable (fdatasync), then writes the mark behind
// the records and to the anchor whose turn it is, then makes those durable; it
// leaves the mark behind the records out where the segment has no room for it.
//
// # A body
//
// Varints are those of Protocol Buffers: unsigned, or zigzag (marked z).
//
//	byte     bits 0 to 3: phase; bit 4: an operation number follows; bit 5: an
//	         effect ends the body; others 0
//	byte     which of the fields from writer on are there, from bit 0 up
//	z        At, minus At of the record before it in the segment; before the
//	         first stands the header's CLOCK_BOOTTIME
//	z        Op, minus (modulo 2^64) the last Op in the segment; before the
//	         first stands the header's
//	varint   Writer, bit 0; absent: the header's
//	varint   Attempt, bit 1
//	name     Verb, bit 2
//	name     Target, bit 3
//	object   Object, bit 4
//	z z      From, and To minus From, bit 5
//	varint   Generation, bit 6
//	string   Detail, bit 7
//	byte     Effect, bit 5 of the first byte
//
// A string is a varint length and the bytes. A name is the byte 0 and a string,
// or the byte k: the k-th name of its kind that was spelled out in this segment
// and not longer than 255 bytes; the first 64 of each kind count. An object is
// a byte n and a string: the first n bytes of the last object in the segment,
// and the string. A body has nothing behind its last field.
//
// # Reading
//
// Reading begins with the segment that the newest header names. Each segment
// but the last ends where the next header says. The last ends where its end
// slot says, or else at the first frame that cannot be read; if a slot of that
// segment, an anchor or any behind that frame, covers more than that, or the
// file is shorter than was allocated, that is damage. A reader of a living
// history looks at the frame once more after it has seen such a slot, since
// both may have been written after its first look.
//
// A checkpoint is a segment that begins with a record of phase Checkpoint and
// ends what it folds with another that has To 1. It has its name only once all
// of that is durable; the segments before it are removed afterwards, and not
// looked at any more where a crash kept them.
package history
