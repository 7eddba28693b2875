// Package medium is what a disk in user space holds: its content, its volatile
// cache, what a power cut leaves of both, and the faults. It does no I/O;
// whoever serves a [Medium] as a file or a device calls ReadAt, WriteAt, Flush,
// Discard and Zero from as many goroutines as he likes.
//
// # The model
//
//   - The atomic unit is the logical block. A reader sees each block as one
//     write left it, and so does a power cut; nothing larger is atomic.
//   - A write is in the volatile cache when it returns, and readers see it. So
//     are discards and zeroings; both read as zeros.
//   - A flush makes durable what had completed before the flush was called.
//     Of changes that are under way meanwhile it covers what it meets.
//   - A power cut leaves everything that is durable. Of each block written
//     since it leaves, as flakey.Keep says: what is durable (none); the last
//     write (all); the last write before a point in the order of all blocks
//     written, drawn, the same for all (prefix); or, drawn for each block by its
//     number, what is durable or any one of the writes since (random). A block
//     that was written twice since the flush may so survive in either version.
//     The order is that in which the disk took the writes: it agrees with the
//     order of completion for any two of which one began when the other was done.
//   - What was under way when the power failed has failed for who asked for it,
//     and may be there wholly, in part, or not at all.
//   - More than Options.Cache bytes written and not flushed (each write counts,
//     also of the same block): the oldest become durable, until an eighth of
//     the cache is free, counted in Stats.Evicted. Writes of different blocks of
//     one page of 4096 bytes go together. The same happens when memory ends.
//   - Without Options.Cache: more than 64 MiB of older versions, which only a
//     power cut would show (those durable included), and the oldest writes become
//     durable until a quarter of that is free, counted as above. So all of a disk
//     that is written for the first time may be at stake, and of one that is
//     overwritten without a flush the last 48 MiB at least, in whole pages.
//
// A block is at stake in a power cut if it was written, discarded or zeroed
// since it was last durable; but discarding or zeroing what is zero is nothing.
//
// # Faults
//
// They act on requests as the package comment of flakey says. Several that are
// on act in the order in which they were given, but hangs come first, then
// delays. The first that fails or drops a request ends it. What is drawn is
// drawn by the fault's seed and by the number of the request among those that
// the fault could touch, counted since it was set. A request that a fault
// would leave as it is (a stale read of what is durable, a byte that has the
// value already) is not counted as touched. DropWrites, ErrorWrites, Delay and
// Hang also touch discards and zeroings; the others only what carries data.
// A flush concerns the whole disk: every range holds it. Flags are of bios,
// which do not reach a disk in user space: Set refuses them.
//
// # Memory
//
// Content is in pages of 4 KiB in one mapping, which a medium shares with its
// clones and with what its power cuts leave. A durable page of the disk takes a
// page of memory, a page of zeros that nobody wrote none. A write takes a
// page for each page of the disk, until the flush; the durable page is kept
// beside it, since a power cut may want it back, and so is each version
// between. Versions that wrote different blocks of a page share one. A flush
// frees all but the newest, and older ones have a limit, see above. Beside that
// there are 32 bytes a version, 0.3 % for tables, freed pages of up to a sixth
// of the content (or 12 MiB), which the next writes take, and on a disk that
// grows up to 64 MiB made ready ahead, or, for 30 s, Options.Ready. More free
// memory than that is given back to the kernel. In a virtual machine whose host
// takes free memory back, the first touch of a byte was seen to be thirty times
// slower than the next: that is what Ready is for.
//
// When Options.Memory is used up, or the machine has less than 80 MiB left, the
// oldest writes become durable, which frees what they have replaced. Where that
// does not help, writes fail with EIO and [Medium.Broken] says so: that is a
// failure of the tool, not of what it tests. Locked memory (mlockall) works
// with MCL_ONFAULT only: without, the whole reservation would be filled.
//
// # Speed
//
// A request with no fault on reads one atomic pointer to know so. Locks are per
// 256 KiB of the disk; nothing is allocated per request. A flush takes time in
// the number of writes since the last one, a power cut too; a clone in the
// number of pages that the disk holds. With a recorder changes go one after
// the other.
package medium
