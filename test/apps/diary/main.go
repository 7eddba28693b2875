// Command diary is a database of one file, with the two commands that assay
// wants of any database:
//
//	diary write DIRECTORY   adds entries for ever, and prints the number of each once it is durable
//	diary read DIRECTORY    gets those numbers on standard input, and exits with 0 if all entries are there, with 1 if not
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

func main() {
	if len(os.Args) != 3 || os.Args[1] != "write" && os.Args[1] != "read" {
		fmt.Fprintln(os.Stderr, "usage: diary write|read DIRECTORY")
		os.Exit(64)
	}
	path := filepath.Join(os.Args[2], "diary")
	if os.Args[1] == "write" {
		fmt.Fprintln(os.Stderr, write(path))
		os.Exit(2)
	}
	lost, err := read(path)
	switch {
	case err != nil:
		fmt.Println(err)
		os.Exit(2) // no answer: the reader could not look
	case lost != "":
		fmt.Println("lost:", lost)
		os.Exit(1)
	}
}

func write(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syncDirectory(filepath.Dir(path)); err != nil { // or the file is durable, and its name is not
		return err
	}
	n, size, err := whole(f)
	if err != nil {
		return err
	}
	// What follows the last whole entry was cut off when it was being written.
	if err := f.Truncate(size); err != nil {
		return err
	}
	if _, err := f.Seek(size, 0); err != nil {
		return err
	}
	for {
		n++
		if _, err := fmt.Fprintln(f, n); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err // never again: the next sync may succeed and mean nothing
		}
		fmt.Println(n) // no sooner: a printed line is a promise
	}
}

func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// whole is how many entries there are, and how many bytes they take. Half an
// entry, or one out of turn, is none, and ends the diary.
func whole(f *os.File) (entries int, size int64, err error) {
	for in := bufio.NewReader(f); ; entries++ {
		line, err := in.ReadString('\n')
		if err != nil && err != io.EOF {
			return 0, 0, err
		}
		if line != fmt.Sprintln(entries+1) {
			return entries, size, nil
		}
		size += int64(len(line))
	}
}

// read tells what of the promises on standard input is not kept; "": nothing.
func read(path string) (lost string, err error) {
	have := 0
	f, err := os.Open(path)
	if err == nil {
		have, _, err = whole(f)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // no file is an empty diary
		return "", err
	}
	gone, last := 0, ""
	promised := bufio.NewScanner(os.Stdin)
	for promised.Scan() {
		if n, err := strconv.Atoi(promised.Text()); err != nil || n > have {
			gone, last = gone+1, promised.Text()
		}
	}
	if gone > 0 {
		lost = fmt.Sprintf("%d entries, the last %s; there are %d", gone, last, have)
	}
	return lost, promised.Err()
}
