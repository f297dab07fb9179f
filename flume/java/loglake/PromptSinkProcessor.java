package loglake;

import org.apache.flume.Context;
import org.apache.flume.EventDeliveryException;
import org.apache.flume.Sink;
import org.apache.flume.conf.Configurable;
import org.apache.flume.sink.AbstractSingleSinkProcessor;

/**
 * Runs one sink and looks again soon after an empty channel.
 *
 * <p>Flume's own runner sleeps 1 to 5 seconds then, by constants that no setting reaches, on every
 * hop. Failures still take that slow path: they leave here as exceptions.
 */
public class PromptSinkProcessor extends AbstractSingleSinkProcessor implements Configurable {
  private long idleMillis;

  @Override
  public void configure(Context context) {
    idleMillis = context.getLong("idleMillis", 50L);
  }

  @Override
  public Sink.Status process() throws EventDeliveryException {
    if (sink.process() == Sink.Status.BACKOFF) {
      try {
        Thread.sleep(idleMillis);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
    return Sink.Status.READY;
  }
}
