#!/bin/sh
# reader.sh DIRECTORY: reads the writer's lines, and wants the last one in the file.

promised=$(sort -n | tail -n 1)
kept=$(cat "$1/f" 2>&1)
case $kept in
'' | *[!0-9]*) [ -z "$promised" ] && exit 0 ;;
*) [ "$kept" -lt "${promised:-0}" ] || exit 0 ;;
esac
echo "lost: f holds \"$kept\", promised was $promised"
exit 1
