// Package pathcheck says which of many paths answer, and how fast, while any of
// them may hang in the kernel for as long as it likes. It judges nothing.
//
//	Start, Stop ──► Checker ──► request ──► helper process ──► open, read, close
//	                 one goroutine,          128 to 512 threads,
//	Events ◄──────── a fixed schedule ◄── answer ── of which any may hang
//
// # What may hang, and what that costs
//
// A check hangs its thread, and no signal ends that while it is in the kernel in
// the state D; its process then does not end either, SIGKILL or not. So this
// process touches no path. Helpers do, which nobody waits for, and which hold
// nothing of the parent's but one end of a socket. When so many threads are slow
// that few are left there is another helper (pool.go). A path whose check hangs
// gets no other until that has ended, and holds up no other path, no command and
// no Close.
//
// A helper has all its threads before its first check (helper.go): Go ends a
// process that may have no more, and that must cost no check. Where there can be
// no more helpers a check that has waited for one second ends with EAGAIN. Who
// kills a helper delays its checks: they are begun again in another, three times.
//
// # What is promised
//
//   - Each Start and Stop has its event, in order, and each check of a path that
//     was due and could begin has one. After the event that a path is stopped
//     there are none of it.
//   - Checks are due at a fixed distance from the start, however long they take.
//     What is missed is told (Missed) and not made up for.
//   - A delay is of the whole check, taken in the thread that does it: open, read
//     and close by clock_gettime(2), CLOCK_MONOTONIC.
//
// Not promised: that a delay is the device's alone. On a machine whose processors
// are busy a thread waits for one too.
//
// docs/pathcheck.md has the protocol of Service, and the experiments.
package pathcheck
