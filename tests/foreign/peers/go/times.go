package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
)

// say prints `at <microseconds> <what>`, by the machine's clock.
func say(what string) {
	fmt.Printf("at %d %s\n", time.Now().UnixMicro(), what)
}

// sayEndOfWatch says when a watch of a health service is over.
func sayEndOfWatch(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	err := handler(service, stream)
	if info.FullMethod == "/grpc.health.v1.Health/Watch" {
		say("the watch is over")
	}
	return err
}

// pauses finds out how long this process stood still, by sleeps that take too long.
type pauses struct{ longest atomic.Int64 }

func (p *pauses) watch() {
	const period = 2 * time.Millisecond
	for {
		before := time.Now()
		time.Sleep(period)
		if late := (time.Since(before) - period).Microseconds(); late > p.longest.Load() {
			p.longest.Store(late)
		}
	}
}

func (p *pauses) say() {
	fmt.Printf("longest pause %d\n", p.longest.Load())
}
