// Calls the service test.v1.Echo by grpc-go, with a stock retry policy.
//
// It makes many calls at once, some times without a quota and then under one, and prints the code of each of
// the last. Or, without a retry policy, it calls on for a time.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const policy = `{"methodConfig": [{
	"name": [{"service": "test.v1.Echo"}],
	"retryPolicy": {
		"maxAttempts": 4,
		"initialBackoff": "0.1s",
		"maxBackoff": "1s",
		"backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]
	}
}]}`

// Ids of calls without a quota are above this.
const warm = 1_000_000

// raw leaves messages as they are, so that no generated code is needed.
type raw struct{}

func (raw) Name() string { return "proto" }
func (raw) Marshal(message any) ([]byte, error) {
	return *message.(*[]byte), nil
}
func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = bytes.Clone(data)
	return nil
}

func main() {
	port := flag.Int("port", 0, "the server's port of loopback")
	warmUp := flag.Int("warm-up", 0, "how often to make them without a quota before")
	calls := flag.Int("calls", 0, "how many calls to make at once")
	millis := flag.Int("millis", 0, "how long to call on instead, that many at once")
	flag.Parse()

	options := []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})),
	}
	if *millis == 0 {
		options = append(options, grpc.WithDefaultServiceConfig(policy))
	}
	connection, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", *port), options...)
	if err != nil {
		log.Fatal(err)
	}
	call := func(method string, id int) error {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		ctx = metadata.AppendToOutgoingContext(ctx, "x-call-id", strconv.Itoa(id))
		request, response := []byte{}, []byte{}
		return connection.Invoke(ctx, "/test.v1.Echo/"+method, &request, &response)
	}
	if *millis > 0 {
		until := time.Now().Add(time.Duration(*millis) * time.Millisecond)
		var all sync.WaitGroup
		for i := range *calls {
			all.Go(func() {
				for id := 1 + i; time.Now().Before(until); id += *calls {
					code := status.Code(call("Unary", id))
					fmt.Printf("ended with %d\n", code)
					if code != 0 {
						time.Sleep(50 * time.Millisecond)
					}
				}
			})
		}
		all.Wait()
		return
	}
	atOnce := func(method string, first int, ended func(error)) {
		var all sync.WaitGroup
		for i := range *calls {
			all.Go(func() { ended(call(method, first+i)) })
		}
		all.Wait()
	}
	for i := range *warmUp {
		atOnce("UnaryIdempotent", warm+i**calls, func(err error) {
			if err != nil {
				log.Fatal(err)
			}
		})
	}
	atOnce("Unary", 1, func(err error) {
		fmt.Printf("ended with %d\n", status.Code(err))
	})
}
