package peer;

import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.concurrent.atomic.AtomicLong;

/** Says when things happen, by the machine's clock, and how long this process stood still. */
final class Times implements ServerInterceptor {
  private static final long PERIOD_MICROS = 2_000;

  private final AtomicLong longestPause = new AtomicLong();

  /** Prints {@code at <microseconds> <what>}. */
  static void say(String what) {
    System.out.println("at " + now() + " " + what);
  }

  private static long now() {
    return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
  }

  /** Sleeps again and again: what a sleep takes too long, all threads may have stood still. */
  void watchPauses() {
    Thread thread =
        new Thread(
            () -> {
              while (true) {
                long before = System.nanoTime();
                try {
                  Thread.sleep(PERIOD_MICROS / 1000);
                } catch (InterruptedException error) {
                  return;
                }
                long took = (System.nanoTime() - before) / 1000;
                longestPause.accumulateAndGet(took - PERIOD_MICROS, Math::max);
              }
            });
    thread.setDaemon(true);
    thread.start();
  }

  /** Prints the longest pause so far. */
  void sayPause() {
    System.out.println("longest pause " + longestPause.get());
  }

  /** Says when a watch of a health service is over. */
  @Override
  public <Q, A> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, A> call, Metadata head, ServerCallHandler<Q, A> next) {
    ServerCall.Listener<Q> listener = next.startCall(call, head);
    if (!call.getMethodDescriptor().getFullMethodName().equals("grpc.health.v1.Health/Watch")) {
      return listener;
    }
    return new SimpleForwardingServerCallListener<>(listener) {
      @Override
      public void onCancel() {
        say("the watch is over");
        super.onCancel();
      }

      @Override
      public void onComplete() {
        say("the watch is over");
        super.onComplete();
      }
    };
  }
}
