package storage

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
)

// queue works on keys, each by one worker at a time, again and more slowly while that fails.
type queue struct {
	items workqueue.TypedRateLimitingInterface[string]
}

func newQueue() *queue {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, 30*time.Second)
	return &queue{items: workqueue.NewTypedRateLimitingQueue(limiter)}
}

func (q *queue) add(key string) {
	q.items.Add(key)
}

// run returns once ctx has ended and the work in hand is done.
func (q *queue) run(ctx context.Context, workers int, work func(ctx context.Context, key string) error) {
	var group sync.WaitGroup
	for range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				key, closing := q.items.Get()
				if closing {
					return
				}
				if work(ctx, key) != nil {
					q.items.AddRateLimited(key)
				} else {
					q.items.Forget(key)
				}
				q.items.Done(key)
			}
		}()
	}
	<-ctx.Done()
	q.items.ShutDown()
	group.Wait()
}
