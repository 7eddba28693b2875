// Package volume owns live volumes: file systems on breakable disks, on block
// devices, and directories that are there already; and the tests, faults and
// checks on them.
//
// # What is driven, and how it is judged
//
// Every operation on a file (Volume, File) is asked for here and done in a child
// process, package volume/worker: a disk that hangs never hangs assay. It is in
// the history as issued before the child is asked, and its outcome as soon as
// the child's answer has come, also one that was in the pipe when the child was
// killed. What the file system owes by then is for package owed alone to say,
// with the rule of POSIX: after a kill all that returned, after a power cut what
// a sync covered, and of names what a sync of their directory covered.
// docs/promises.md tells what ext4, xfs and btrfs promise beyond that.
//
// The files of the tests are below the directory files of the volume; a command
// (the test exec) gets the directory exec. Each whole line that it prints is a
// promise, and the check exec asks a command of the user's whether all of them
// are kept. What that says, and how no crash can say it, is in answer.go; that a
// loss is found once in examine.go; and that the two commands are first seen to
// agree, with no fault on, in rehearse.go.
//
// # Rounds
//
// A power cut stops all that runs on the volume, takes the power from the disk,
// and then kills what was stopped: nothing is promised after the cut, and
// requests that the kernel had under way are cut wherever they were. Heal then
// mounts what survived; check-files reads all of it and writes what it saw into
// the history, and the tests of the next round go on with that. What cannot be
// mounted any more is a finding, and the last one.
//
// While a fault that ends the round is to come, tests on files are done again
// and again, each time with new content, so that it finds something under way.
//
// A soft disk has a flusher beside it where the power is cut (soft.Flush): the
// kernel alone keeps dirty pages for half a minute, and a missing sync would
// hide behind that.
//
// # What it cannot see
//
// A volume that is a directory is judged by the same kernel that keeps it in
// memory: only kills and pauses can be done to it, and its pages are dropped
// before they are read where the kernel allows it. If such a directory is on
// the file system that keeps the run's own records, and that takes both back
// together, nothing here can see it; the run says so at its start.
package volume
