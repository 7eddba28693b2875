package object

import "context"

// Intact returns what has failed of assay's own parts below the bucket: the
// process of the reference store, where that is the store. A store of the user's
// own is not assay's, whatever becomes of it.
func (b *Bucket) Intact(context.Context) error {
	if b.store.server == nil {
		return nil
	}
	return b.store.server.Intact()
}
