package peer;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor.MethodType;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;

/**
 * Calls the service test.v1.Echo by grpc-java over netty, with a stock retry policy.
 *
 * <p>It makes many calls at once, some times without a quota and then under one, and prints the code of
 * each of the last. Or, without a retry policy, it calls on for a time.
 */
public final class Client {
  private static final Map<String, ?> POLICY =
      Map.of(
          "methodConfig",
          List.of(
              Map.of(
                  "name",
                  List.of(Map.of("service", "test.v1.Echo")),
                  "retryPolicy",
                  Map.of(
                      "maxAttempts", 4.0,
                      "initialBackoff", "0.1s",
                      "maxBackoff", "1s",
                      "backoffMultiplier", 2.0,
                      "retryableStatusCodes", List.of("UNAVAILABLE", "RESOURCE_EXHAUSTED")))));

  private static final Metadata.Key<String> CALL_ID =
      Metadata.Key.of("x-call-id", Metadata.ASCII_STRING_MARSHALLER);

  /** Ids of calls without a quota are above this. */
  private static final int WARM = 1_000_000;

  private Client() {}

  private static CompletableFuture<Status> call(Channel channel, String method, int id) {
    Metadata head = new Metadata();
    head.put(CALL_ID, Integer.toString(id));
    Channel with =
        ClientInterceptors.intercept(channel, MetadataUtils.newAttachHeadersInterceptor(head));
    CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(30, TimeUnit.SECONDS);
    CompletableFuture<Status> ended = new CompletableFuture<>();
    ClientCalls.asyncUnaryCall(
        with.newCall(Raw.method(MethodType.UNARY, method), options),
        new byte[0],
        new StreamObserver<byte[]>() {
          @Override
          public void onNext(byte[] message) {}

          @Override
          public void onCompleted() {
            ended.complete(Status.OK);
          }

          @Override
          public void onError(Throwable error) {
            ended.complete(Status.fromThrowable(error));
          }
        });
    return ended;
  }

  private static List<Status> atOnce(Channel channel, String method, int first, int count) {
    List<CompletableFuture<Status>> all =
        IntStream.range(first, first + count).mapToObj(id -> call(channel, method, id)).toList();
    return all.stream().map(CompletableFuture::join).toList();
  }

  /** This many calls at a time, again and again until then. */
  private static void callOn(Channel channel, int workers, long until) throws Exception {
    List<Thread> threads =
        IntStream.range(0, workers)
            .mapToObj(worker -> new Thread(() -> work(channel, 1 + worker, workers, until)))
            .toList();
    threads.forEach(Thread::start);
    for (Thread thread : threads) {
      thread.join();
    }
  }

  private static void work(Channel channel, int first, int step, long until) {
    for (int id = first; System.nanoTime() < until; id += step) {
      Status status = call(channel, "Unary", id).join();
      System.out.println("ended with " + status.getCode().value());
      if (!status.isOk()) {
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(50));
      }
    }
  }

  /** Options: {@code --port --warm-up --calls --millis}, each with a value. */
  public static void main(String[] args) throws Exception {
    Map<String, Integer> options = new HashMap<>();
    for (int i = 0; i + 1 < args.length; i += 2) {
      options.put(args[i].substring(2), Integer.valueOf(args[i + 1]));
    }
    Integer millis = options.get("millis");
    NettyChannelBuilder builder =
        NettyChannelBuilder.forAddress("127.0.0.1", options.get("port")).usePlaintext();
    if (millis == null) {
      builder.defaultServiceConfig(POLICY);
    }
    ManagedChannel channel = builder.build();
    int calls = options.get("calls");
    if (millis != null) {
      callOn(channel, calls, System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis));
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
      return;
    }
    for (int i = 0; i < options.get("warm-up"); i++) {
      for (Status status : atOnce(channel, "UnaryIdempotent", WARM + i * calls, calls)) {
        if (!status.isOk()) {
          throw status.asRuntimeException();
        }
      }
    }
    for (Status status : atOnce(channel, "Unary", 1, calls)) {
      System.out.println("ended with " + status.getCode().value());
    }
    channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
  }
}
