// Package pressure takes memory, disk space and CPU time on demand, exactly and
// safely, and gives them back: three consumers, and an HTTP service over them.
//
// # Fault model
//
// What the rest of the machine sees is what it would see of a program that
// needs so much, and nothing else:
//
//   - Memory is private, outside the Go heap, touched, and of content that
//     neither zram nor KSM makes smaller. It comes from huge pages where the
//     kernel gives them. What is held is exact to a page. It can be locked.
//   - Disk space is real blocks of incompressible content, no two alike, written
//     with direct I/O where the file system has it, and synced. That a disk or a
//     quota is full is a result, not a failure: what was reached is held.
//   - CPU time is used by threads in user space; a loop that is closed over
//     the CPU clock of the process makes it what was asked for. Where other work or the
//     hypervisor takes the time first, less is used, and that is told.
//
// # Safety
//
// A consumer never takes the last of anything. Memory stops a margin before the
// nearest limit: of every memory cgroup that the process is in, v1 or v2, and
// MemAvailable. They are read again before every step, so that what others take meanwhile counts; and while memory is held it is given back when others come near the
// limit, or when tasks stand still for memory (PSI). So the process is not what
// makes the OOM killer come, as long as nobody else takes a whole margin within
// a quarter of a second.
//
// Files are in a directory of their own below the one given, with a lock file
// that their process holds with flock(2). They go when the process ends. After
// a SIGKILL the next start finds the directory with its lock free and removes
// it; what it did not make it leaves.
//
// # Who may call
//
// All methods may be called by several goroutines at once. Of two calls of Set
// the later one counts: it ends the earlier one, which returns ErrSuperseded.
package pressure
