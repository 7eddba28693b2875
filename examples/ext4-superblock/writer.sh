#!/bin/sh
# writer.sh DIRECTORY: replaces a file that it still reads, as programs do with
# their logs and temporary files, and syncs the whole file system.
#
# A file that is open and has no name any more is in ext4's list of orphans, whose
# head is in the superblock: each replacement changes that.

set -e
cd "$1"
n=$(cat f 2>&1) || n=0
while :; do
	n=$((n + 1))
	echo "$n" >f.new
	sync f.new
	[ ! -e f ] || exec 3<f
	mv f.new f
	sync -f .
	echo "$n"
done
