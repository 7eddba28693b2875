package flakey_test

import (
	"context"
	"fmt"

	"github.com/seed-1b600011/assay/flakey"
)

// A disk that loses its cache while it claims to flush: whatever relies on
// fsync then loses what it has acknowledged.
func Example() {
	var drivers []flakey.Driver // soft.Driver{}, for one

	ctx := context.Background()
	d, err := flakey.Open(ctx, flakey.Options{Name: "example", Size: 256 << 20, Needs: []flakey.Kind{flakey.DropFlushes}}, drivers...)
	if err != nil {
		fmt.Println("no disk here")
		return
	}
	defer d.Close(ctx)
	if err := d.Set(ctx, flakey.Fault{Kind: flakey.DropFlushes}); err != nil {
		fmt.Println(err)
		return
	}
	// Here the software under test works on a file system on d.Path().
	c, err := d.PowerCut(ctx, flakey.Keep{Mode: flakey.KeepRandom, Seed: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("blocks at stake:", c.AtStake, "lost:", c.Lost, "now at", d.Path())
	// Output: no disk here
}
