package content_test

import (
	"fmt"
	"io"

	"github.com/seed-1b600011/assay/content"
)

func Example() {
	want := content.Tag{Seed: 42, Object: content.ObjectID("bucket/key"), Generation: 3}
	older := want
	older.Generation = 2

	// What a store might give back for a range of 4 KiB from offset 1000 on.
	got := make([]byte, 4096)
	content.Fill(got, want, 1000)
	content.Fill(got[536:1560], older, 1536) // two sectors were never overwritten
	got[3000] ^= 0x10                        // a bit flipped
	clear(got[3608:])                        // and the end is missing

	for _, s := range content.Classify(nil, got, 1000, want) {
		fmt.Println(s.From, s.To, s.Class, s.Is.Generation, s.BitsWrong)
	}
	// Output:
	// 1000 1536 exact 3 0
	// 1536 2560 older 2 0
	// 2560 3584 exact 3 0
	// 3584 4096 corrupt 3 1
	// 4096 4608 exact 3 0
	// 4608 5096 zero 0 0
}

func ExampleClassifier() {
	want := content.Tag{Seed: 42, Object: content.ObjectID("bucket/key"), Generation: 3}
	c := content.NewClassifier(0, want)
	if _, err := io.Copy(c, content.NewReader(want, 10<<20)); err != nil {
		fmt.Println(err)
	}
	for _, s := range c.Sum() {
		fmt.Println(s)
	}
	// Output: [0:10485760] exact
}
