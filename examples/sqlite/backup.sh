#!/bin/sh
# Backs a database of three rows up by the command .backup of sqlite3 for ever,
# each time to a new file, and prints its name once sqlite3 has ended well.
#
#   backup.sh DIRECTORY

set -e
cd "$1"
n=$(date +%s%N)
sqlite3 from-$n 'CREATE TABLE kept(n); INSERT INTO kept VALUES (1), (2), (3)'
from=from-$n
while n=$((n + 1)); do
	sqlite3 $from ".backup backup-$n"
	echo backup-$n
done
