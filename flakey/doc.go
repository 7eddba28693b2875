// Package flakey owns the breakable disk: what can go wrong with one, in which
// requests, and what must survive a power cut. It has no disk of its own.
// Drivers make them: flakey/soft in user space; whoever opens a disk names the
// drivers that may be taken. See the example.
//
// # The disk
//
// A disk is a block device with a volatile write cache. The block layer's
// contract is the kernel document block/writeback_cache_control, and the
// commands are SYNCHRONIZE CACHE of T10's SBC-4, FLUSH CACHE of T13's ACS-4 and
// Flush of the NVMe base specification:
//
//   - A write that has returned can be read, and may be lost when power fails.
//     Direct I/O changes nothing about that: it is the page cache that it goes
//     around, not the disk's.
//   - A flush that has returned without error has made durable every write that
//     had completed before the flush was issued. Of writes under way meanwhile
//     it promises nothing.
//   - Writes that no flush has covered reach the medium in any order, or not at
//     all.
//   - What is atomic is one logical block. (Disks that promise more say so, as
//     NVMe's AWUPF does; none is assumed.) A block is never half old, half new.
//   - Discarded or zeroed blocks read as zeros, and until the next flush a power
//     cut may bring back what was there.
//   - A FUA write is durable when it returns. A driver whose device has no FUA
//     gets a write and a flush for it, from the kernel.
//
// What cannot happen on a disk without a fault, and what no fault below does
// unless it says so: data that nobody wrote, data at another place, durable data
// that goes away, a write acknowledged and not readable.
//
// # Power cuts
//
// [Disk.PowerCut] is what happens when the plug is pulled: all that a flush has
// covered is there afterwards. Of the rest [Keep] says what is:
//
//   - none: the cache is lost. It is the harshest for whoever forgot to flush,
//     and hides mistakes of order.
//   - all: what a kill of the software alone leaves.
//   - prefix: the cache was written back in order, up to some point: a disk that
//     keeps order without being told to. Hides mistakes of order, too.
//   - random: each block on its own, and a block that was written twice since
//     the flush in either version. It is what a real cache does, and the one
//     that finds most: see Pillai et al., "All File Systems Are Not Created
//     Equal" (OSDI 2014), and Zheng et al., "Understanding the Robustness of
//     SSDs under Power Fault" (FAST 2013), who have also seen worse: shorn, flying
//     and corrupt writes. For those there are faults.
//
// [Cut] tells how many blocks were at stake. A cut that had none has proved
// nothing.
//
// # Faults
//
// Those of device-mapper are named as its document admin-guide/device-mapper/dm-flakey
// names them, and mean the same where nothing else is said. [Selector] says
// which requests they touch: those whose range has a byte in common with it. A
// flush has no range, and every range holds it. What each has acted on is in
// [Stats]; a request that it could not alter is not counted.
//
// drop-writes ([DropWrites]) can: acknowledge a write, discard or zeroing and do
// nothing; a read then gives what was there before. Cannot: change what is
// there, or do a part. A flush still makes other writes durable. (dm-flakey's
// drop_writes also swallows empty flushes, which are writes to it: there, take
// it together with drop-flushes.) Source: dm-flakey.
//
// drop-flushes ([DropFlushes]) can: acknowledge a flush and make nothing durable,
// as some drives do (Rajimwale et al., "Coerced Cache Eviction and Discreet Mode
// Journaling", DSN 2011). Cannot: be seen before the power fails: reads give what
// was written.
//
// error-writes ([ErrorWrites]) can: fail a write, discard or zeroing with EIO;
// nothing of it is done. Cannot: fail and do it, or a part. A file system shows
// the error at the next fsync, once; the fsync after that may succeed and mean
// nothing (Rebello et al., "Can Applications Recover from fsync Failures?", ATC
// 2020). Source: dm-flakey; as above, there it fails flushes too.
//
// error-reads ([ErrorReads]) can: fail a read with EIO: an unrecoverable read
// error. Cannot: give data with the error, or harm what is there: a read after
// the fault gives it. Writing a block does not mend it while the fault is on.
// Source: dm-flakey (6.12 has it, 6.1 has not), and Bairavasundaram et al., "An
// Analysis of Latent Sector Errors in Disk Drives" (SIGMETRICS 2007).
//
// error-flushes ([ErrorFlushes]) can: fail a flush with EIO; it makes nothing
// durable. Cannot: lose anything by itself: what was written is in the cache,
// and the next flush that succeeds covers it.
//
// corrupt-reads ([CorruptReads]) can: alter one byte of what a read gives: the
// Nth is replaced by Value (dm-flakey's corrupt_bio_byte r), or, with Nth 0, one
// bit is flipped, drawn (where random_read_corrupt puts a random byte, which may
// be the same). A request shorter than Nth is not touched. Cannot: alter what is
// on the disk; the same read may be right the next time. A page cache keeps what
// it was given. That silent corruption is real: Bairavasundaram et al., "An
// Analysis of Data Corruption in the Storage Stack" (FAST 2008).
//
// corrupt-writes ([CorruptWrites]) can: do the same to the data of a write before
// it reaches the cache, so that every read gives it. Discards and zeroings carry
// no data and are not touched. Cannot: touch other blocks than those written.
//
// tear-writes ([TearWrites]) can: do the first blocks of a write, at least one
// and not all, how many is drawn, and acknowledge all of it: a shorn write
// (Zheng et al. above). Cannot: part a block, so a write of one block is not
// touched; leave out blocks in the middle.
//
// misdirect-writes ([MisdirectWrites]) can: do a write at another place, whole,
// aligned to a block, drawn within the selector's range; what was there is
// overwritten, the right place keeps the old, and all is acknowledged
// (a misdirected write of Bairavasundaram 2008, a flying one of Zheng). Cannot: go to a place that has a
// block in common with the right one, or out of the range; a write that finds no
// other place in it is done right and not counted.
//
// stale-reads ([StaleReads]) can: give for each block what it held when it was
// last made durable, as a drive with an incoherent cache or a lost write in it
// would. Cannot: give anything older, or change anything: once a flush has
// covered a block its reads are right.
//
// delay ([Delay]) can: let a request wait before it is done, of any sort, flushes
// too. Cannot: fail or reorder what waits for one another. Source:
// dm-delay.
//
// hang ([Hang]) can: let a request wait until the fault is taken away, for ever if
// it is not; it is done then, under the faults that are on then. Cannot: fail it,
// unless the disk is closed or loses power meanwhile: then it is EIO. A process
// that waits for one cannot be killed on a kernel disk; see the driver.
//
// Several faults on one request act in the order in which they were given,
// after hangs and delays.
//
// # What is drawn
//
// Whether a fault touches a request, which bit, how much, and where to is drawn
// by its Seed and by how many requests that it could have touched came before. It is
// the same for the same sequence of requests; a kernel with several of them
// under way may order them differently each time. What a power cut keeps is drawn
// by Keep's Seed and the number of the block.
package flakey
