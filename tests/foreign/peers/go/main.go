// The service test.v1.Echo by grpc-go.
//
// It logs each call as its handler begins, and answers as the metadata `x-answer` asks.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

const drain = 2 * time.Second

type echo struct {
	log    *os.File
	health *health.Server
}

// begin logs the call in one write, so that no line is torn when the process is killed.
func (e echo) begin(ctx context.Context) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	from, _ := peer.FromContext(ctx)
	fmt.Fprintf(e.log, "%s %s\n", first(incoming, "x-call-id"), from.Addr)
}

// answer does what `x-answer` asks; without it the request comes back.
func (e echo) answer(ctx context.Context, request []byte) ([]byte, error) {
	incoming, _ := metadata.FromIncomingContext(ctx)
	what, value, _ := strings.Cut(first(incoming, "x-answer"), " ")
	retry := len(incoming.Get("grpc-previous-rpc-attempts")) > 0
	switch {
	case what == "wait":
		after, err := strconv.Atoi(value)
		time.Sleep(time.Duration(after) * time.Millisecond)
		say("answered")
		return request, err
	case what == "health":
		service, number, _ := strings.Cut(value, " ")
		status, err := strconv.Atoi(number)
		e.health.SetServingStatus(service, grpc_health_v1.HealthCheckResponse_ServingStatus(status))
		return request, err
	case what == "large":
		size, err := strconv.Atoi(value)
		return message(size), err
	case what == "retry-info" && !retry:
		after, err := strconv.Atoi(value)
		if err != nil {
			return nil, err
		}
		delay := durationpb.New(time.Duration(after) * time.Millisecond)
		info := &errdetails.RetryInfo{RetryDelay: delay}
		detailed, err := status.New(codes.Unavailable, "come back").WithDetails(info)
		if err != nil {
			return nil, err
		}
		return nil, detailed.Err()
	case what == "pushback" && !retry:
		grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", value))
		return nil, status.Error(codes.Unavailable, "pushed back")
	}
	return request, nil
}

// message is a message whose first field has so many bytes.
func message(size int) []byte {
	head := binary.AppendUvarint([]byte{0x0a}, uint64(size))
	return append(head, bytes.Repeat([]byte{'x'}, size)...)
}

func first(incoming metadata.MD, key string) string {
	return strings.Join(incoming.Get(key), ",")
}

func (e echo) unary(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	var request []byte
	if err := decode(&request); err != nil {
		return nil, err
	}
	e.begin(ctx)
	response, err := e.answer(ctx, request)
	if err != nil {
		return nil, err
	}
	return &response, nil
}

func (e echo) clientStream(_ any, stream grpc.ServerStream) error {
	e.begin(stream.Context())
	var all []byte
	for {
		var request []byte
		err := stream.RecvMsg(&request)
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		// Messages run together are one message.
		all = append(all, request...)
	}
	response, err := e.answer(stream.Context(), all)
	if err != nil {
		return err
	}
	return stream.SendMsg(&response)
}

// raw leaves messages as they are, so that no generated code is needed; those of the health service
// are generated.
type raw struct{}

func (raw) Name() string { return "proto" }
func (raw) Marshal(message any) ([]byte, error) {
	if generated, ok := message.(proto.Message); ok {
		return proto.Marshal(generated)
	}
	return *message.(*[]byte), nil
}
func (raw) Unmarshal(data []byte, message any) error {
	if generated, ok := message.(proto.Message); ok {
		return proto.Unmarshal(data, generated)
	}
	*message.(*[]byte) = bytes.Clone(data)
	return nil
}

func main() {
	port := flag.Int("port", 0, "the port of loopback to listen on")
	begun := flag.String("log", "", "the file to which the calls that begin are appended")
	age := flag.Int("age", 0, "after how many ms a connection ends; 0: never")
	streams := flag.Uint("streams", 0, "how many streams a connection may have; 0: any number")
	known := flag.String("health", "", "the service that is SERVING; empty: no health service")
	limit := flag.Int("limit", 4<<20, "how many bytes a message may have")
	flag.Parse()

	file, err := os.OpenFile(*begun, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		log.Fatal(err)
	}
	options := []grpc.ServerOption{
		grpc.ForceServerCodec(raw{}),
		grpc.ChainStreamInterceptor(sayEndOfWatch),
		grpc.MaxRecvMsgSize(*limit),
		grpc.MaxSendMsgSize(*limit),
	}
	if *age > 0 {
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge:      time.Duration(*age) * time.Millisecond,
			MaxConnectionAgeGrace: drain,
		}))
	}
	if *streams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(uint32(*streams)))
	}
	server := grpc.NewServer(options...)
	service := echo{file, health.NewServer()}
	if *known != "" {
		service.health.SetServingStatus(*known, grpc_health_v1.HealthCheckResponse_SERVING)
		grpc_health_v1.RegisterHealthServer(server, service.health)
	}
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "test.v1.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			{MethodName: "Unary", Handler: service.unary},
			{MethodName: "UnaryIdempotent", Handler: service.unary},
		},
		Streams: []grpc.StreamDesc{
			{StreamName: "ClientStream", Handler: service.clientStream, ClientStreams: true},
		},
	}, service)

	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	stopped := make(chan struct{})
	go func() {
		<-terminated
		pauses := &pauses{}
		go pauses.watch()
		say("told to end")
		time.AfterFunc(drain, server.Stop)
		server.GracefulStop()
		pauses.say()
		say("drained")
		close(stopped)
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
	<-stopped
}
