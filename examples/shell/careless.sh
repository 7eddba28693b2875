#!/bin/sh
# Replaces a file for ever and promises each content: nothing is synced.
#
#   careless.sh DIRECTORY

cd "$1" || exit
n=$(cat f 2>/dev/null)
while n=$((n + 1)); do
	echo $n >f.new
	mv f.new f
	echo $n
done
