package medium_test

import (
	"fmt"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/soft/medium"
)

// What a flush has covered is there after a power cut; of what came later
// none is, here.
func Example() {
	m, err := medium.New(medium.Options{Size: 1 << 20, Memory: 4 << 20})
	if err != nil {
		fmt.Println(err)
		return
	}
	block := make([]byte, 512)
	write := func(text string, off int64) {
		copy(block, text)
		if e := m.WriteAt(block, off); e != 0 {
			fmt.Println(e)
		}
	}
	write("flushed", 0)
	m.Flush()
	write("in the cache", 0)

	after, cut, err := m.Cut(flakey.Keep{Mode: flakey.KeepNone})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer after.Close()
	fmt.Println("the old disk:", m.ReadAt(block, 0))
	after.ReadAt(block, 0)
	fmt.Printf("the new one: %s, %d of %d blocks lost\n", block[:7], cut.Lost, cut.AtStake)
	// Output:
	// the old disk: input/output error
	// the new one: flushed, 1 of 1 blocks lost
}
