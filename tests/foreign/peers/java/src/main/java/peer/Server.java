package peer;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import com.google.protobuf.UnsafeByteOperations;
import com.google.rpc.RetryInfo;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.protobuf.services.HealthStatusManager;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * The service test.v1.Echo by grpc-java over netty.
 *
 * <p>It logs each call as its handler begins, and answers as the metadata {@code x-answer} asks.
 */
public final class Server {
  private static final long DRAIN_SECONDS = 2;

  private static final Metadata.Key<String> CALL_ID = key("x-call-id");
  private static final Metadata.Key<String> ANSWER = key("x-answer");
  private static final Metadata.Key<String> PREVIOUS = key("grpc-previous-rpc-attempts");
  private static final Metadata.Key<String> PUSHBACK = key("grpc-retry-pushback-ms");

  private static final Context.Key<Call> CALL = Context.key("call");

  private record Call(Metadata head, Object from) {}

  private final FileOutputStream log;
  private final HealthStatusManager health = new HealthStatusManager();

  private Server(FileOutputStream log) {
    this.log = log;
  }

  /** Logs the call in one write, so that no line is torn when the process is killed. */
  private void begin(Call call) {
    String line = call.head().get(CALL_ID) + " " + call.from() + "\n";
    try {
      log.write(line.getBytes(StandardCharsets.US_ASCII));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  private void unary(byte[] request, StreamObserver<byte[]> response) {
    Call call = CALL.get();
    begin(call);
    answer(call, request, response);
  }

  private StreamObserver<byte[]> clientStream(StreamObserver<byte[]> response) {
    Call call = CALL.get();
    begin(call);
    return new StreamObserver<>() {
      // Messages run together are one message.
      private ByteString all = ByteString.EMPTY;

      @Override
      public void onNext(byte[] request) {
        all = all.concat(UnsafeByteOperations.unsafeWrap(request));
      }

      @Override
      public void onCompleted() {
        answer(call, all.toByteArray(), response);
      }

      @Override
      public void onError(Throwable error) {}
    };
  }

  /** Does what {@code x-answer} asks; without it the request comes back. */
  private void answer(Call call, byte[] request, StreamObserver<byte[]> response) {
    String[] asked = String.valueOf(call.head().get(ANSWER)).split(" ", 2);
    boolean retry = call.head().containsKey(PREVIOUS);
    if (asked[0].equals("retry-info") && !retry) {
      response.onError(retryInfo(Long.parseLong(asked[1])));
    } else if (asked[0].equals("pushback") && !retry) {
      Metadata trailers = new Metadata();
      trailers.put(PUSHBACK, asked[1]);
      response.onError(
          Status.UNAVAILABLE.withDescription("pushed back").asRuntimeException(trailers));
    } else {
      if (asked[0].equals("wait")) {
        sleep(Long.parseLong(asked[1]));
      } else if (asked[0].equals("health")) {
        String[] told = asked[1].split(" ", 2);
        health.setStatus(told[0], ServingStatus.forNumber(Integer.parseInt(told[1])));
      }
      response.onNext(request);
      response.onCompleted();
      if (asked[0].equals("wait")) {
        Times.say("answered");
      }
    }
  }

  private static void sleep(long milliseconds) {
    try {
      Thread.sleep(milliseconds);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  private static StatusRuntimeException retryInfo(long milliseconds) {
    Duration delay =
        Duration.newBuilder()
            .setSeconds(milliseconds / 1000)
            .setNanos((int) (milliseconds % 1000) * 1_000_000)
            .build();
    RetryInfo info = RetryInfo.newBuilder().setRetryDelay(delay).build();
    return StatusProto.toStatusRuntimeException(
        com.google.rpc.Status.newBuilder()
            .setCode(Status.Code.UNAVAILABLE.value())
            .setMessage("come back")
            .addDetails(Any.pack(info))
            .build());
  }

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  private ServerServiceDefinition service() {
    return ServerServiceDefinition.builder("test.v1.Echo")
        .addMethod(Raw.method(MethodType.UNARY, "Unary"), ServerCalls.asyncUnaryCall(this::unary))
        .addMethod(
            Raw.method(MethodType.UNARY, "UnaryIdempotent"), ServerCalls.asyncUnaryCall(this::unary))
        .addMethod(
            Raw.method(MethodType.CLIENT_STREAMING, "ClientStream"),
            ServerCalls.asyncClientStreamingCall(this::clientStream))
        .build();
  }

  /** Shows a call's head to its handler. */
  private static final class Heads implements ServerInterceptor {
    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata head, ServerCallHandler<Q, A> next) {
      Object from = call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
      Context context = Context.current().withValue(CALL, new Call(head, from));
      return Contexts.interceptCall(context, call, head, next);
    }
  }

  private static Map<String, String> options(String[] args) {
    Map<String, String> options =
        new HashMap<>(Map.of("age", "0", "streams", "0", "limit", "" + (4 << 20)));
    for (int i = 0; i + 1 < args.length; i += 2) {
      options.put(args[i].substring(2), args[i + 1]);
    }
    return options;
  }

  /** Options: {@code --port --log --age --streams --limit --health}, each with a value. */
  public static void main(String[] args) throws Exception {
    Map<String, String> options = options(args);
    Server server = new Server(new FileOutputStream(options.get("log"), true));
    int port = Integer.parseInt(options.get("port"));
    NettyServerBuilder builder =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", port))
            .maxInboundMessageSize(Integer.parseInt(options.get("limit")))
            .intercept(new Heads())
            .addService(server.service());
    long age = Long.parseLong(options.get("age"));
    if (age > 0) {
      builder
          .maxConnectionAge(age, TimeUnit.MILLISECONDS)
          .maxConnectionAgeGrace(DRAIN_SECONDS, TimeUnit.SECONDS);
    }
    int streams = Integer.parseInt(options.get("streams"));
    if (streams > 0) {
      builder.maxConcurrentCallsPerConnection(streams);
    }
    Times times = new Times();
    if (options.containsKey("health")) {
      builder.intercept(times);
      server.health.setStatus(options.get("health"), ServingStatus.SERVING);
      builder.addService(server.health.getHealthService());
    }
    io.grpc.Server running = builder.build().start();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> drain(running, times)));
    running.awaitTermination();
  }

  private static void drain(io.grpc.Server running, Times times) {
    times.watchPauses();
    Times.say("told to end");
    try {
      if (!running.shutdown().awaitTermination(DRAIN_SECONDS, TimeUnit.SECONDS)) {
        running.shutdownNow().awaitTermination();
      }
      times.sayPause();
      // The end of the JVM takes a while more.
      Times.say("drained");
    } catch (InterruptedException error) {
      running.shutdownNow();
    }
  }
}
