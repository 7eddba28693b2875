#!/bin/sh
# The same without assay: a loop device over a file, and a copy of that file for
# what a power cut leaves. It is made when the last fsync has returned and nothing
# writes, so all that btrfs has written is in it: no disk could keep more.
#
#   without-assay.sh        (as root)
#
# Exit code: 0 the name is there again, 1 it is not, 2 this could not be tried.

set -e
dir=$(mktemp -d)
undo() {
	umount "$dir/mnt" || :
	[ -z "$loop" ] || losetup -d "$loop" || :
	rm -rf --one-file-system "$dir"
} 2>/dev/null
trap 'code=$?; trap - EXIT; undo; [ $code -ne 0 ] || exit "${verdict:-2}"; exit 2' EXIT
trap 'exit 2' INT TERM

mkdir "$dir/mnt"
truncate -s 256M "$dir/disk"
mkfs.btrfs -q "$dir/disk" >"$dir/said" 2>&1 || { cat "$dir/said" >&2; exit; }
loop=$(losetup -f --show "$dir/disk")
mount -t btrfs "$loop" "$dir/mnt"
(
	cd "$dir/mnt"
	mkdir names others
	sync -f .
	: >names/first
	i=0
	while i=$((i + 1)) && [ $i -le 200 ]; do : >others/$i; done
	sleep 0.5 # btrfs puts names/first into the tree, in the background
	mv names/first names/moved
	sync names
	rm names/moved
	sync names
)
cp "$dir/disk" "$dir/copy"
umount "$dir/mnt"
losetup -d "$loop"
loop=
loop=$(losetup -f --show "$dir/copy")
mount -t btrfs "$loop" "$dir/mnt"
verdict=1
if [ -e "$dir/mnt/names/first" ]; then
	verdict=0
	echo "names/first is there again, on btrfs of Linux $(uname -r):"
	ls -il "$dir/mnt/names"
else
	echo "names/first is gone, as it should be, on btrfs of Linux $(uname -r)"
fi
