#!/bin/sh
# Gets the names of the backups on its standard input and tells whether all of
# them hold the three rows: 0 yes, 1 no, with a finding.
#
#   backup-reader.sh DIRECTORY

cd "$1"
lost=0
while read -r name; do
	if rows=$(sqlite3 "file:$name?mode=rw" 'SELECT count(*) FROM kept' 2>&1) && [ "$rows" = 3 ]; then
		continue
	fi
	lost=$((lost + 1))
	last="$name: $rows"
done
[ $lost = 0 ] && exit 0
echo "lost: $lost backups, the last $last"
exit 1
