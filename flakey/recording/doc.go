// Package recording owns the file that holds everything that was done to a
// breakable disk: every write with its data, every flush, discard and zeroing,
// the faults that were set, marks, and power cuts. From it a disk can be built
// again as it was at any record, and it is evidence of what the disk was asked
// and what it did. It knows no disk; package medium replays it.
//
// A [Writer] appends; [Open] reads back, also what a crash has left. See the
// example.
//
// # What is promised
//
// The storage under the file is taken to be honest; it is never the disk that
// is recorded.
//
//   - Records stand in the order in which the disk took the requests. A record
//     says what the disk did to its content: data as it went onto the medium,
//     where it went. What a fault kept from being done is there too, and is
//     flagged as such.
//   - A SIGKILL of the writer at any instant: what its memory held is gone, no
//     more than two buffers; the file ends at the last whole record before it.
//     The buffer is passed to the kernel as soon as the write before it has
//     returned, so it is in practice what arrived within one write(2).
//   - After Sync or Close, also the machine may be lost.
//   - Reading ends at the first record that is not whole, and [Reader.Ignored]
//     says how many bytes follow. Where a whole record stands behind, no kill of
//     the writer explains that: it is a [DamageError], and the records before it
//     can be read. (A lost machine may explain it: the kernel writes pages back
//     in any order.) A closed recording ends in a record of its own, so one that
//     is not Closed has lost its end.
//
// # The file
//
// Integers are little-endian. "CRC" is CRC-32C (Castagnoli, as in RFC 3720).
// The header has 128 bytes:
//
//	  0  "assayREC"
//	  8  uint32  version, 1
//	 12  uint32  logical block of the disk in bytes
//	 16  uint64  size of the disk in bytes
//	 24  uint64  seed of the disk
//	 32  int64   wall time at creation, ns since 1970 UTC
//	 40  int64   CLOCK_BOOTTIME at creation, ns
//	 48  16 bytes boot id of the machine, as in /proc/sys/kernel/random/boot_id
//	 64  uint32  nonce, random
//	 68  zero
//	124  uint32  CRC of bytes 0 to 123
//
// Records follow without a gap, each at a multiple of 8. A record is a head of
// 64 bytes, its payload, and zeros up to the next multiple of 8:
//
//	 0  "aREC"
//	 4  uint32  CRC of bytes 8 to 63, continued from the value
//	            nonce XOR (low half of the record's offset in the file)
//	 8  uint64  number of the record, from 0
//	16  int64   CLOCK_BOOTTIME, ns
//	24  uint64  offset: the first byte on the disk; of an eviction: see below
//	32  uint64  length in bytes on the disk
//	40  uint32  length of the payload in bytes, at most MaxData
//	44  uint32  CRC of the payload
//	48  uint8   kind
//	49  uint8   flags
//	50  zero
//
// A CRC is a bijection of the value it is continued from, so no record passes
// at another place of its file, and data that happens to be a recording does
// not pass for records.
//
// The kinds, with what their fields mean (others are zero):
//
//	1 write    offset, length; payload: the data, length bytes
//	2 flush
//	3 discard  offset, length; the range reads as zeros afterwards
//	4 zero     offset, length
//	5 faults   payload: JSON array of flakey.Fault, all that are on from here
//	6 mark     payload: text
//	7 cut      payload: JSON of Cut
//	8 evict    offset: number of a record; what was written to a page of 4096
//	           bytes and not since that record is durable, although no flush
//	           came: the cache was full
//	9 end      the writer was closed; nothing follows. It is not counted.
//
// The flags:
//
//	1 altered  a fault made this of what was asked: corrupt, torn, misdirected
//	2 dropped  acknowledged, and not done: reads and cuts know nothing of it
package recording
