#!/bin/sh
# Another defect of btrfs, without assay too: of four fsyncs of one directory at
# once, some return before the disk has been asked for a single flush. The one that
# works commits everything, and those others do not wait for it.
#
#   concurrent-syncs.sh     (as root)
#
# Exit code: 0 one has returned too early, 1 none has, 2 this could not be tried.

set -e
dir=$(mktemp -d)
undo() {
	umount "$dir/mnt" || :
	[ -z "$loop" ] || losetup -d "$loop" || :
	rm -rf --one-file-system "$dir"
} 2>/dev/null
trap 'code=$?; trap - EXIT; undo; [ $code -ne 0 ] || exit "${verdict:-2}"; exit 2' EXIT
trap 'exit 2' INT TERM

flushes() { # that the disk has done: Documentation/block/stat.rst, the 16th number
	set -- $(cat "/sys/block/${loop#/dev/}/stat")
	echo "${16}"
}

mkdir "$dir/mnt"
verdict=1
for try in 1 2 3 4 5 6 7 8 9 10; do
	# A new file system each time: its first data need new space, and btrfs then
	# commits where else it would write to its log.
	truncate -s 0 "$dir/disk"
	truncate -s 256M "$dir/disk"
	mkfs.btrfs -q "$dir/disk" >"$dir/said" 2>&1 || { cat "$dir/said" >&2; exit; }
	loop=$(losetup -f --show "$dir/disk")
	mount -t btrfs "$loop" "$dir/mnt"
	mkdir "$dir/mnt/names"
	sync -f "$dir/mnt"
	head -c 2000000 /dev/urandom >"$dir/mnt/names/file"
	: >"$dir/mnt/names/new"
	before=$(flushes)
	for i in 1 2 3 4; do
		{ sync "$dir/mnt/names" && flushes; } >"$dir/after.$i" &
	done
	wait
	umount "$dir/mnt"
	losetup -d "$loop"
	loop=
	early=$(cat "$dir"/after.* | grep -cx "$before" || :)
	[ "$early" -eq 0 ] || { verdict=0; echo "try $try: $early of 4 fsyncs returned before the first flush, on btrfs of Linux $(uname -r)"; break; }
done
[ $verdict -eq 0 ] || echo "no fsync returned before the first flush, on btrfs of Linux $(uname -r)"
