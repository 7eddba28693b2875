#!/bin/sh
# Copies new files to a directory by rsync --fsync for ever, and prints the name
# of each once rsync has ended well. A file holds its name.
#
#   writer.sh DIRECTORY [then-sync]

set -e
to=$1
from=$(mktemp -d "$to/from.XXXXXX")
n=$(date +%s%N)
while n=$((n + 1)); do
	echo file-$n >"$from/file-$n"
	rsync --fsync "$from/file-$n" "$to/"
	[ -z "$2" ] || sync "$to"
	echo file-$n
done
