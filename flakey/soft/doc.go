// Package soft is a breakable disk in user space: a driver of package flakey
// that needs no device-mapper. A daemon process serves one file over FUSE
// whose content is in memory (package medium), and a loop device on that file
// is the disk: a true block device with a volatile write cache, for any file
// system.
//
// # The model
//
// It is that of package medium: a flush covers the writes completed before it
// arrived, discards are cached too, the atomic unit is the logical block, and
// a power cut keeps none, all, a prefix or a random choice of what was not
// flushed. The loop device passes a flush on as FSYNC, a discard as a punched
// hole, write-zeroes as a zeroed range; it reports a write-back cache and no
// FUA, so that FUA arrives as a full flush. One request of the block layer is
// one of the medium (see requestMax).
//
// After a power cut the old device fails every request, and a new one holds
// what survived; the new one is made first, so that a cut either happens whole
// or not at all. A file system on the old device may stay mounted for as long
// as it likes.
//
// # Processes
//
//	caller ──life pipe──► daemon (softdisk) ──beats──► keeper (softdisk-keeper)
//	                      medium, FUSE, socket         loop devices, abort files
//
// The daemon attaches the loop devices itself, as the file is reachable by its
// own descriptor alone, and hands each to the keeper at once. Whichever of the
// three is killed, or stopped, everything ends within 30 s: the end of the
// daemon ends its FUSE connections, and so every request; the keeper aborts
// them where the daemon can neither answer nor die, as when daemon and writer
// must share a memory cgroup and each waits for the other; the loop devices
// clear themselves with their last user; and the daemon ends with its caller,
// unless Create made it to be on its own.
//
// What must never be: the daemon opening or mapping a file on its own disk. It
// mounts by child processes only.
//
// # Recordings
//
// With flakey.Options.Record everything that is done to the disk is recorded
// (package recording). From that OpenFrom and CreateFrom plug in what the disk
// held after any of its records, and View plugs in more of such moments beside
// one another: what a power cut there would have left.
//
// # Memory
//
// The content is in the daemon's memory, outside the memory cgroup of the
// caller where the machine allows it. A disk of 1 GiB or more takes memory for
// all of itself when it is made, but no more than an eighth of what the machine
// has left; it waits for that up to 2 s, and gives back what it has not used
// within 30 s. Else its first pass would wait for the machine, and in a virtual
// machine for the host, page by page. Smaller disks take what they are written.
// A disk whose limit is used up is broken: it fails, Stats and Status say why,
// and nothing that it did is to be believed.
package soft
