#!/bin/sh
# Replaces a file for ever and promises each content once it is durable.
#
#   careful.sh DIRECTORY

set -e
cd "$1"
n=$(cat f 2>/dev/null) || n=0
while n=$((n + 1)); do
	echo $n >f.new
	sync f.new # sync(1) of coreutils: fsync of what it is given
	mv f.new f
	sync .
	echo $n
done
