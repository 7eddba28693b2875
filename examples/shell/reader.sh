#!/bin/sh
# Gets the promises on its standard input and tells whether the file has the
# last content that was promised, or a later one: 0 yes, 1 no, with a finding.
#
#   reader.sh DIRECTORY

promised=$(sort -n | tail -n 1)
[ -n "$promised" ] || exit 0
kept=$(cat "$1/f" 2>&1)
case $kept in
'' | *[!0-9]*) echo "lost: f holds \"$kept\", promised was $promised" ;;
*) [ "$kept" -lt "${promised:-0}" ] || exit 0; echo "lost: f holds $kept, promised was $promised" ;;
esac
exit 1
