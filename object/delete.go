package object

import (
	"context"

	"github.com/seed-1b600011/assay/scenario"
)

func registerDelete(r *scenario.Registry) {
	Test(r, scenario.Test{
		Name: "delete", Doc: "deletes every object once, putting first those that this run has not put",
		Objects: scenario.Objects{Count: 100, Size: scenario.Range[scenario.Size]{Min: 1 << 10, Max: 1 << 10}},
	}, struct{}{}, func(ctx context.Context, b *Bucket, o *Objects, _ struct{}) error {
		for object := range o.Mine {
			if err := b.Ensure(ctx, object); err != nil {
				return err
			}
			if err := b.Delete(ctx, object); err != nil {
				return err
			}
		}
		return nil
	})
}
