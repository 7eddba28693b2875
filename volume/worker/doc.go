// Package worker owns the child process through which the files of a volume are
// touched. Whatever a file system may hold up for ever is called there and
// nowhere else: a hung disk hangs the child, never its parent, which goes on,
// answers, and can end.
//
// The parent asks by frames on the child's standard input and gets frames from
// its standard output. Each request is done in a goroutine of its own, so one
// that hangs holds up no other. A request that writes a range in blocks gets an
// answer a block, as each has returned; all others get one.
//
// What a file system answers is an errno in an Answer. A Go error of this
// package means that there is no answer: the child has ended (ErrEnded), and
// what it was doing may have been done or not.
//
// # Frames
//
// A frame is its length (4 bytes, little-endian, of what follows), then
// varints, as encoding/binary has them, and strings (a varint of the length,
// then the bytes) in the order of the fields of request and of Answer.
package worker
