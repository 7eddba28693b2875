#!/bin/sh
# The same without assay: a loop device over a file with holes on a tmpfs. When
# the tmpfs is full no hole can be filled: the disk fails such writes, and says so.
#
#   without-assay.sh        (as root)
#
# Exit code: 0 an fsync returned 0 and the name is gone, 1 not so, 2 this could not
# be tried.

set -e
export LC_ALL=C # of what sync says
dir=$(mktemp -d)
undo() {
	umount "$dir/mnt" || :
	[ -z "$loop" ] || losetup -d "$loop" || :
	umount "$dir/memory" || :
	rm -rf --one-file-system "$dir"
} 2>/dev/null
trap 'code=$?; trap - EXIT; undo; [ $code -ne 0 ] || exit "${verdict:-2}"; exit 2' EXIT
trap 'exit 2' INT TERM

mkdir "$dir/memory" "$dir/mnt"
mount -t tmpfs -o size=64M tmpfs "$dir/memory"
truncate -s 256M "$dir/memory/disk"
mkfs.ext4 -q "$dir/memory/disk" >"$dir/said" 2>&1 || { cat "$dir/said" >&2; exit; }
fallocate --dig-holes "$dir/memory/disk" # the journal is zeros
loop=$(losetup -f --show --direct-io=off "$dir/memory/disk")
mount -t ext4 "$loop" "$dir/mnt"
(
	cd "$dir/mnt"
	sync -f .
	: >first
	: >second # in the same transaction
	! dd if=/dev/zero of="$dir/memory/full" bs=64k 2>/dev/null # until there is no space left
	! sync first second 2>"$dir/said"                          # one fsync each
)
[ -s "$dir/said" ] || exit # no write failed
rm "$dir/memory/full"
umount "$dir/mnt"
losetup -d "$loop"
loop=
loop=$(losetup -f --show "$dir/memory/disk")
mount -t ext4 "$loop" "$dir/mnt"
verdict=1
if grep -q "'second'" "$dir/said"; then
	echo "fsync of second failed, as it should, on ext4 of Linux $(uname -r):"
elif [ -e "$dir/mnt/second" ]; then
	echo "fsync of second returned 0, and it is there, on ext4 of Linux $(uname -r):"
else
	verdict=0
	echo "fsync of second returned 0, and it is gone, on ext4 of Linux $(uname -r):"
fi
cat "$dir/said"
ls -l "$dir/mnt"
