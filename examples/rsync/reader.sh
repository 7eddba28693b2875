#!/bin/sh
# Gets the names that the writer has printed on its standard input and tells
# whether all these files are there and hold what they must: 0 yes, 1 no, with a finding.
#
#   reader.sh DIRECTORY

lost=0
while read -r name; do
	if [ "$(cat "$1/$name" 2>&1)" != "$name" ]; then
		lost=$((lost + 1))
		last=$name
	fi
done
[ $lost = 0 ] && exit 0
echo "lost: $lost files, the last $last: $(cat "$1/$last" 2>&1)"
exit 1
