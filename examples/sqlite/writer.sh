#!/bin/sh
# Adds rows to a SQLite database for ever, each in a transaction of its own,
# and prints the number of a row once its transaction is committed.
#
#   writer.sh DIRECTORY JOURNAL_MODE SYNCHRONOUS [SECONDS TO REST AFTER EACH]

{
	# What these print is no promise.
	echo ".output /dev/null"
	echo "PRAGMA journal_mode=$2; PRAGMA synchronous=$3;"
	echo "CREATE TABLE IF NOT EXISTS kept(n INTEGER PRIMARY KEY, v BLOB);"
	echo ".output stdout"
	# Not INSERT … RETURNING: that prints the row before it is committed.
	yes "INSERT INTO kept(v) VALUES(randomblob(300)); SELECT last_insert_rowid();${4:+
.shell sleep $4}"
} | exec stdbuf -oL sqlite3 -bail "$1/db"
