// Package machine does to the operating system what a run needs done and
// makes sure that it is undone: child processes, files that are written
// durably, and the ledger of all that was made.
//
// # The ledger
//
// Before anything is made that would outlive this process (a child, a bucket,
// a mount, a loop device), its kind and name are written to the
// ledger and are durable there. A run that ends by itself crosses its entries
// off; a run that was killed leaves them, and Clean undoes them. A ledger is a
// file DIR/ledgers/NAME.ledger of JSON lines, locked with flock(2) by its
// owner for as long as the owner lives, so that Clean can tell the living
// from the dead:
//
//	{"n":1,"kind":"process","name":"3f1c…","at":"2026-01-02T03:04:05Z"}
//	{"n":1,"gone":true}
//
// A last line without its newline was never promised and is ignored.
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
