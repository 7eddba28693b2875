# What writer.sh and reader.sh share: a PostgreSQL server of their own, which
# keeps everything in the directory $dir and listens on a socket there alone.

dir=$1
data=$dir/data
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1) # Debian's
[ -n "$bin" ] || bin=$(pg_config --bindir)

# as_postgres runs a command as the user postgres: the server refuses root.
as_postgres() {
	setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
}

# make makes the database. It gets its name once it is whole and durable, so
# that a power cut meanwhile leaves nothing half made.
make() {
	[ ! -e "$data" ] || return 0
	rm -rf "$data.new"
	install -d -o postgres -g postgres -m 700 "$data.new"
	as_postgres "$bin/initdb" -D "$data.new" --auth=trust --encoding=UTF8 --no-locale >/dev/null
	mv "$data.new" "$data"
	sync "$dir"
}

# start starts the server with settings, each NAME=VALUE, and waits for it.
start() {
	options="-k $data -c listen_addresses="
	for setting in "$@"; do
		options="$options -c $setting"
	done
	: >"$dir/log" && chown postgres "$dir/log"
	as_postgres "$bin/pg_ctl" start --silent --wait --timeout=60 -D "$data" -l "$dir/log" -o "$options"
}

stop() {
	as_postgres "$bin/pg_ctl" stop --silent --wait --mode=immediate -D "$data"
}

sql() {
	psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 -h "$data" -U postgres -d postgres "$@"
}
