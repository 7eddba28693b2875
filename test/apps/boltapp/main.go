// Command boltapp is a database application for power cuts to hit.
//
//	boltapp work FILE [nosync]   commits a transaction for each line of standard input; prints its number once it is committed
//	boltapp check FILE           checks the whole file; prints the number of the last transaction in it
//
// Every transaction overwrites twenty random keys and sets the counter. check
// exits with 2 if the file is no sound database, and says why.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

var (
	bucket  = []byte("data")
	counter = []byte("counter")
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: boltapp work|check FILE [nosync]")
		os.Exit(64)
	}
	var err error
	switch os.Args[1] {
	case "work":
		err = work(os.Args[2], len(os.Args) > 3 && os.Args[3] == "nosync")
	case "check":
		err = check(os.Args[2])
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
}

func work(path string, nosync bool) error {
	db, err := bolt.Open(path, 0o644, &bolt.Options{NoSync: nosync, InitialMmapSize: 64 << 20, Timeout: time.Second})
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	last, err := read(db)
	asked := bufio.NewScanner(os.Stdin)
	for n := last + 1; err == nil && asked.Scan(); n++ {
		err = db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(bucket)
			if err != nil {
				return err
			}
			for range 20 {
				value := make([]byte, 100+random.IntN(400))
				for i := range value {
					value[i] = byte(random.Uint32())
				}
				if err := b.Put(fmt.Appendf(nil, "key-%05d", random.IntN(5000)), value); err != nil {
					return err
				}
			}
			return b.Put(counter, binary.BigEndian.AppendUint64(nil, n))
		})
		if err == nil {
			fmt.Println(n)
		}
	}
	return err
}

func read(db *bolt.DB) (n uint64, err error) {
	err = db.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(bucket); b != nil {
			if v := b.Get(counter); len(v) == 8 {
				n = binary.BigEndian.Uint64(v)
			}
		}
		return nil
	})
	return n, err
}

func check(path string) error {
	db, err := bolt.Open(path, 0o644, &bolt.Options{Timeout: time.Second, ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	err = db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			return fmt.Errorf("check: %w", err)
		}
		return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
			return b.ForEach(func(_, _ []byte) error { return nil })
		})
	})
	if err != nil {
		return err
	}
	n, err := read(db)
	fmt.Println(n)
	return err
}
