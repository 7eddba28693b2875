// Package machine does to the operating system what a run needs done and
// makes sure that it is undone: child processes, loop devices, mounts, mkfs and
// fsck, files that are written durably, and the ledger of all that was made.
//
// # The ledger
//
// Before anything is made that would outlive this process (a child, a bucket,
// a mount, a loop device), its kind and name are written to the
// ledger and are durable there. A run that ends by itself crosses its entries
// off; a run that was killed leaves them, and Clean undoes them, newest first
// over all ledgers. A ledger is a
// file DIR/ledgers/NAME.ledger of JSON lines, locked with flock(2) by its
// owner for as long as the owner lives, so that Clean can tell the living
// from the dead:
//
//	{"n":1,"kind":"process","name":"3f1c…","at":"2026-01-02T03:04:05Z"}
//	{"n":1,"gone":true}
//
// A last line without its newline was never promised and is ignored.
//
// A name must still mean the same thing, or nothing, when Clean reads it: by
// then a process id, a device or a directory may be a stranger's. So the kinds
// of this package (Undoes) are named by what is never given twice:
//
//	process      a token in the environment of the child and of all that it starts
//	loop         boot id, number, the kernel's serial number of the disk (diskseq,
//	             since Linux 5.15) and the file behind it. It clears itself with
//	             its last user, so to undo it is to wait for that
//	device-node  a path in /dev with a random part, where that lacked one of a device
//	mount        boot id, the mount's unique number (since Linux 6.8, before that
//	             the one that is used again) and its directory
//	mount-point  a directory made to mount on: removed if it is empty
//	directory    removed with what is in it, unless something is mounted there
//
// A mount and a loop device get their numbers only when they are made. They are
// made so that the end of their maker takes them away again until they are
// entered: the mount has no place in the tree yet, and nobody else knows the
// device. A FUSE connection needs no entry: its file system is mounted without
// a place, and goes with its last file, or with its server ([FuseControl] ends
// one whose server can do neither).
//
// # Child processes
//
// Whatever must survive the end of a goroutine, or may block in the kernel,
// runs in a child: this same binary under another argv[0]. Daemon, called
// from a package-level variable, notices that argv[0] before main and runs the
// child's function instead; so a child can be started from any binary, a test
// binary included. It is the only code in assay that acts before main.
//
// A child lives in a process group of its own, so that a Ctrl-C at the
// terminal reaches assay alone, and holds one end of a pipe whose other end
// only its parent has: when the parent goes, in whatever way, the child ends.
package machine
