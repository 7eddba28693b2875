package refstore_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/refstore"
)

// The model alone: a state is a value, a step gives the next.
func ExampleKey_Step() {
	now := time.Unix(0, 0)
	var key refstore.Key
	key, _ = key.Step(now, refstore.Op{Verb: refstore.Put, Version: refstore.Version{Size: 3, ETag: "abc"}})
	_, answer := key.Step(now, refstore.Op{Verb: refstore.Get})
	fmt.Println(answer.Version.ETag, answer.Err)
	key, _ = key.Step(now, refstore.Op{Verb: refstore.Delete})
	_, answer = key.Step(now, refstore.Op{Verb: refstore.Get})
	fmt.Println(answer.Err)
	// Output:
	// abc <nil>
	// NoSuchKey: the key does not exist
}

// A store without HTTP, and a lie: the put is acknowledged and lost.
func ExampleStore_Lie() {
	bodies := refstore.NewBodies("", 0, 0)
	defer bodies.Close()
	store := refstore.NewStore(bodies, refstore.StoreOptions{})
	store.CreateBucket("papers", "")
	lie, err := store.Lie(refstore.Lie{Kind: refstore.Lose, Count: 1})
	if err != nil {
		panic(err)
	}
	for _, key := range []string{"a", "b"} {
		body, err := bodies.Read(strings.NewReader("hello"), 5)
		if err != nil {
			panic(err)
		}
		put := store.Do("papers", key, refstore.Op{Verb: refstore.Put, Version: refstore.Version{Body: body, Size: 5}})
		body.Release()
		fmt.Println("put", key, put.Err)
	}
	for _, key := range []string{"a", "b"} {
		fmt.Println("head", key, store.Do("papers", key, refstore.Op{Verb: refstore.Head}).Err)
	}
	fmt.Println(lie.Touched())
	// Output:
	// put a <nil>
	// put b <nil>
	// head a NoSuchKey: the key does not exist
	// head b <nil>
	// 1 [a]
}
