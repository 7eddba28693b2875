// Command rows is a writer and a reader, as assay wants them, around a bbolt
// database:
//
//	rows write FILE [nosync]   adds rows for ever, and prints the number of each once it is committed
//	rows read FILE             gets these numbers on standard input, and exits with 0 if all rows are there, with 1 if not
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"
)

var rows = []byte("rows")

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: rows write|read FILE [nosync]")
		os.Exit(64)
	}
	if os.Args[1] == "write" {
		fmt.Fprintln(os.Stderr, write(os.Args[2], len(os.Args) > 3 && os.Args[3] == "nosync"))
		os.Exit(2)
	}
	if err := read(os.Args[2]); err != nil {
		fmt.Println("lost:", err)
		os.Exit(1)
	}
}

func write(file string, nosync bool) error {
	db, err := bolt.Open(file, 0o600, &bolt.Options{NoSync: nosync})
	if err != nil {
		return err
	}
	for {
		var n uint64
		err := db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(rows)
			if err != nil {
				return err
			}
			if n, err = b.NextSequence(); err != nil {
				return err
			}
			return b.Put(fmt.Append(nil, n), make([]byte, 300))
		})
		if err != nil {
			return err
		}
		fmt.Println(n) // no sooner: a printed number is a promise
	}
}

func read(file string) (err error) {
	// Damage makes bbolt panic, or read beyond the end of its mapping.
	debug.SetPanicOnFault(true)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the database is not sound: %v", p)
		}
	}()
	db, err := bolt.Open(file, 0o600, nil)
	if err != nil {
		return err
	}
	return db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(rows)
		lost, last := 0, ""
		for promised := bufio.NewScanner(os.Stdin); promised.Scan(); {
			if b == nil || b.Get(promised.Bytes()) == nil {
				lost, last = lost+1, promised.Text()
			}
		}
		if lost > 0 {
			return fmt.Errorf("%d rows, the last %s", lost, last)
		}
		return nil
	})
}
