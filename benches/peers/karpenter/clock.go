package main

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// jumpingClock is the real one, save that who waits for it is not kept waiting: the time waited for
// is added to the clock instead.
type jumpingClock struct {
	clock.RealClock
	mutex   sync.Mutex
	skipped time.Duration
}

func newJumpingClock() *jumpingClock { return &jumpingClock{} }

func (c *jumpingClock) Now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.RealClock.Now().Add(c.skipped)
}

func (c *jumpingClock) Since(then time.Time) time.Duration { return c.Now().Sub(then) }

func (c *jumpingClock) Sleep(span time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.skipped += span
}

func (c *jumpingClock) After(span time.Duration) <-chan time.Time {
	c.Sleep(span)
	passed := make(chan time.Time, 1)
	passed <- c.Now()
	return passed
}
