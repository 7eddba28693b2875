#!/bin/sh
# Makes a file, renames it, deletes it, and promises for ever that its first name
# is gone: the directory is synced after each step.
#
#   writer.sh DIRECTORY

set -e
cd "$1"
mkdir -p names others
rm -rf names/* others/*
sync -f . # syncfs: what follows is in one transaction, of 30 s (btrfs(5), commit)
n=$(date +%s%N)
while n=$((n + 1)); do
	: >names/$n
	# By these the directory's new entry gets from memory into the tree: btrfs does
	# that in the background from 128 such entries on.
	i=0
	while i=$((i + 1)) && [ $i -le 200 ]; do : >others/$n.$i; done
	sleep 0.1
	mv names/$n names/moved
	sync names # sync(1) of coreutils: fsync of what it is given
	rm names/moved
	sync names
	echo $n
done
