// Package owed folds a history into what a target may hold, and names the kind
// of every deviation from it. It is the one place where a promise is
// interpreted. It never reads a target.
//
// # Registers
//
// A register is what one value is owed of: an object of a bucket as a whole, a
// range of a file, a name in a directory, the size of a file. An operation w on
// it has two positions in the merged stream of records, where it was issued and
// where it ended, and an outcome; what never ended, or ended with an unknown
// outcome, ends at infinity. Before the first operation a register holds nothing
// (absence, zeros), owed from the beginning on.
//
// An operation is firm if it is a promise. It is durable if it survives a power
// cut. Of a register may be seen what w left, for every w such that no firm
// operation was issued after w ended. Of concurrent operations either may have
// been the last. That is all; the rest says what is firm.
//
//   - In a bucket, what was acknowledged is firm and durable.
//   - On a volume, what was acknowledged is firm until a power cut. What is
//     durable stays so. Durable is a write that was itself Synced (O_DSYNC), and
//     one that had returned before a sync was called that covers it and ended
//     Synced. An fsync or fdatasync covers the data and the size of its file, a
//     syncdir the names in its directory, a syncfs all.
//   - A sync that was Refused or Unknown may have dropped what it did not write,
//     and the next one succeeds and means nothing. So whatever it covers that
//     was issued before it ended and is not durable is void: never firm again,
//     with or without a cut, until it is written again. A write through O_DSYNC or
//     O_SYNC says so in Detail, and one that is refused is a failed sync of its
//     file too. A sync that was Acknowledged, not Synced, gives no word and takes
//     none back.
//   - Of syncs at the same time of which one fails, none gives its word on what
//     the failed one covers. Linux reports a failed write-back once per open file
//     description (Documentation/filesystems/vfs.rst, Handling errors during
//     writeback; Documentation/core-api/errseq.rst): the one that asks second
//     gets no error, and may be the first to return. Until the last of
//     them has ended the word of the others is contested: it counts, and nothing
//     is forgotten on the strength of it.
//   - A round whose effect is Forgets (a power cut) voids what is not durable.
//   - While a fault with the effect Drops is on, the kernel may drop what was not
//     synced and report it at the next sync only, and a file system may shut
//     down; such operations are firm only once they are durable. A sync that a
//     kill interrupts voids what it covers of them and was not durable when it
//     was called, and nothing else.
//   - A fault without an effect takes nothing back, whatever its name is. Faults
//     and rounds concern the target of their record and no other.
//   - What was refused may be there or not, and so may what has no outcome. In
//     a volume neither can take effect after the round that ended it (a kill or
//     a power cut). In a bucket a request without an answer may take effect at
//     any later time, unless a read saw that it did: then it counts as
//     acknowledged there.
//
// A look that a check takes after heal, with nothing under way (Observed with
// the verb "check"), is an operation of its own that left what was seen. After
// a power cut it is durable, for it was read from the medium; otherwise it is as
// durable as what it saw, and looking at what is void proves nothing. So a broken
// promise is blamed once. What a check saw that nobody wrote is from then on let
// pass, until it is written anew. A look at a directory comes before those at
// the names in it.
//
// A get (issued; Observed; ended, in this order) is legal if it saw what was
// allowed when it was issued, or was issued since. What else it saw is in
// Observations. Whether all gets together have an order is not asked here. A get
// of a file is judged as a check would judge it, where nothing that changes the
// file was under way since it was issued; else it proves nothing.
//
// # Stakes
//
// A run shows something only if a target owed something across a fault that
// could have taken it away. So the end of every fault, and of every round, notes
// what was owed then: see [Book.Survived]. Across a fault whose effect is Forgets
// or Drops that is what was durable, across others what was acknowledged. Reads,
// probes, syncs and the looks of checks promise nothing.
//
// # Objects
//
// The verbs on buckets are put (To: size, Generation), delete, get and list. An
// object is judged as a whole; parts of two generations are torn even where each
// alone is allowed.
//
//	an object           never named   deleted       2 owed        2 or 3        2 or absent
//	absent              legal         legal         lost          lost          legal
//	generation 2        corrupt       resurrected   legal         legal         legal
//	generation 1        corrupt       resurrected   stale         stale         stale
//	generation 3        corrupt       resurrected   corrupt       legal         corrupt
//	1, then 2           corrupt       resurrected   torn          torn          torn
//	2, then 3           corrupt       resurrected   corrupt       torn          corrupt
//	2, then zeros       corrupt       resurrected   lost          lost          lost
//	another's bytes     misdirected   misdirected   misdirected   misdirected   misdirected
//	2, a bit wrong      corrupt       resurrected   corrupt       corrupt       corrupt
//	foreign bytes       corrupt       resurrected   corrupt       corrupt       corrupt
//	2, cut short        corrupt       resurrected   lost          lost          lost
//	2, then more of 1   corrupt       resurrected   torn          torn          torn
//	2, then more of 2   corrupt       resurrected   corrupt       corrupt       corrupt
//	2, then more zeros  corrupt       resurrected   corrupt       corrupt       corrupt
//	a read error        legal         legal         unreadable    unreadable    legal
//
// The states above are of an object put as generation 1, then as generation 2,
// of 1024 bytes each; in "2 or 3" a put, in "2 or absent" a delete has no
// outcome yet. A generation up to the highest ever issued counts as once
// written.
//
// # Files
//
// The verbs on volumes are create, mkdir, write and append (From, To,
// Generation; Detail: how it syncs itself, O_DSYNC or O_SYNC), truncate (To: the new size), allocate (From, To: the file is then
// at least To long), punch (From, To), unlink, rmdir, rename and link (Detail: the
// new path), fsync, fdatasync, syncdir, syncfs, get.
// Paths are relative to the volume. An operation concerns the file that its path
// named when it was issued, whatever its name becomes; its number, FileID, is
// made of the writer and the operation that created it. A file with holes
// reads as zeros there. Ranges are judged on their own where Rule.MayTear is
// set, as whole extents otherwise.
//
//	a range             a hole        2 owed        2 or 3        2 or a hole
//	zeros               legal         lost          lost          legal
//	generation 2        corrupt       legal         legal         legal
//	generation 1        corrupt       stale         stale         stale
//	generation 3        corrupt       corrupt       legal         corrupt
//	1, then 2           corrupt       stale         stale         stale
//	2, then 3           corrupt       corrupt       legal         corrupt
//	2, then zeros       corrupt       lost          lost          legal
//	another's bytes     misdirected   misdirected   misdirected   misdirected
//	2, a bit wrong      corrupt       corrupt       corrupt       corrupt
//	foreign bytes       corrupt       corrupt       corrupt       corrupt
//	2, cut short        corrupt+lost  lost          lost          lost
//	2, then more of 1   corrupt       stale         stale         stale
//	2, then more of 2   corrupt       stale         stale         stale
//	2, then more zeros  corrupt       corrupt       corrupt       corrupt
//	a read error        legal         unreadable    unreadable    legal
//
// The states above are of a file of 1024 bytes, in "2 or a hole" never synced
// with generation 2, after a power cut; in "2 or 3" generation 3 was not synced.
// A piece below 24 bytes that content cannot name ("different") is corrupt where
// one version is allowed, and legal where a mixture of several would be.
//
// Of the size, truncations set it, writes and allocations extend it. What is not
// firm may have got part of the way, see Half effects. A missing tail is lost, a
// surplus is stale if it is of the file, else corrupt.
//
// # Half effects
//
// What is not firm (refused, without an outcome, void) may have been done by
// halves; once it is firm it is whole. Measured with Linux 6.18 on loop devices:
// full disks, RLIMIT_FSIZE, SIGKILL, failed writes. The man pages promise less:
// write(2) and pwrite(2) may do a part, fallocate(2) and truncate(2) name no half
// effects, and rename(2) alone is atomic.
//
//	write, append   every byte old or new; the size any above From, up to To. A
//	                full disk and RLIMIT_FSIZE leave a first part and refuse the
//	                rest: ext4 5 of 7 MiB through the page cache, none by O_DIRECT;
//	                btrfs 3 of 7 in both ways; xfs none
//	allocate        no byte changes; the size any above From, up to To. ext4 grows
//	                in steps, and keeps what it got to when the disk is full (178
//	                of 900 MiB); btrfs shows steps, but like xfs gives them back.
//	                SIGKILL ends it on none of them. RLIMIT_FSIZE refuses all of it
//	truncate        shorter: every byte from To on old or zero, the size any between.
//	                Readers see it change at once; btrfs commits it in steps.
//	                Longer: the old size or the new one, on all three
//	punch           every byte old or zero; btrfs refuses it on a full disk
//	create, mkdir   there or not, also when refused: open(2) makes the name before
//	                it opens the file
//	unlink, rmdir,  done or not: one transaction on all three
//	link
//	rename          one of the names, see Names
//	fsync, syncfs,  what it covers is void, and so is the word of others of the
//	syncdir         same time, see Registers
//
// A file found under a name is held against what was promised there. One whose
// creation was refused may be it, and then nothing is wrong; it is never what
// was missing.
//
// Reads that fail may do as much harm as writes that fail: xfs shuts down where
// it has to give up in a transaction, and btrfs turns read-only; both drop what
// was not synced. ext4 refused the operation and went on.
//
// # Names
//
// A name is owed after a sync of its directory, and so are the names above it:
// a name in a directory that may be absent may be absent, unless the directory
// is there. An fsync of a file owes it no name, as POSIX promises none, unless
// Rule.FsyncNames is set. A rename is one step: where one half is durable or
// void, so is the other. It shows the old name or the new one, never neither
// (lost), never both (resurrected). More than this: a file with an owed name,
// from which nothing but renames may have taken it since, must be found under
// one of its possible names. An unlinked file may be there until its directory
// is synced; after that it is resurrected. Over an existing file, a rename
// leaves the old file or the new one.
//
// Where several directories may be meant by a path, or unlinks and renames of
// one file are both open, the book lets pass every combination of what each
// name may be: some losses of a file that only their combination excludes are
// not seen. It never blames what can happen.
//
// # Checkpoints
//
// Checkpoint gives records of phase Observed and verb "owed", in this order;
// Detail begins with a letter, and numbers follow as uvarints (encoding/binary).
// Bits are counted from 1.
//
//	h  position, start in nanoseconds, 1 if anything began
//	t  of Target: faults on that drop, 1 if nothing was done since a cut, position
//	   of the last cut; lines that programs promised, operations with an answer
//	s  of Target: JSON of an entry of Survived
//	f  a file: number, 1 directory + 2 made by nobody, highest Generation
//	p  Op of Writer under way: verb, position, threshold of a get, 1 has Object +
//	   2 has a file (a write: it syncs itself) + 4 can have no effect, number of the file
//	o  an operation: 1 durable + 2 void + 4 exposed to a fault + 8 under way + 16
//	   on data + 32 on size + 64 on a name + 128 told of for the other half only +
//	   256 takes an old name away + 512 contested; verb, value (0 bytes, 1 nothing, 2 damage),
//	   outcome, positions issued and ended, the times of both; on a volume 1 has a
//	   file + 2 is on the name Object, number of the file, of the directory; if
//	   contested, where its sync ended
//	k  of Object: Generation is the highest issued
//	c  Op of Writer was ended by a round
//	d  JSON of an entry of Observations
//
// Verbs are numbered from 1: put, delete, get, create, mkdir, write, truncate,
// punch, unlink, rename, link, fsync, syncdir, syncfs, check, exec, allocate.
package owed
