#!/bin/sh
# Fails if a file is not there whose fsync returned 0.
#
#   reader.sh DIR      (the promises on standard input)

while read -r f; do
	[ -e "$1/files/$f" ] || { echo "lost: files/$f: its fsync returned 0, and it has no name"; exit 1; }
done
