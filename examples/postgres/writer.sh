#!/bin/sh
# Adds rows to a PostgreSQL database for ever, each in a transaction of its
# own, and prints the number of a row once its transaction is committed.
#
#   writer.sh DIRECTORY [SETTING=VALUE]…

set -e
. "${0%/*}/server.sh"
shift

make
start "$@"
sql -c "SET client_min_messages = warning" -c "CREATE TABLE IF NOT EXISTS kept(n BIGSERIAL PRIMARY KEY, v TEXT)"
# psql prints what RETURNING gives when the server has said that all is done.
yes "INSERT INTO kept(v) VALUES(repeat(md5(random()::text), 10)) RETURNING n;" | sql
