package loglake;

import com.google.gson.JsonElement;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.apache.flume.node.Application;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs a Flume agent beside a verified copy of its TAILDIR position file.
 *
 * <p>TAILDIR empties the file before it writes it anew. Killed in between, it would read every log
 * from the start; this restores the copy first. Arguments: position file, then Flume's own.
 */
public final class TaildirAgent {
  private static final Logger LOG = LoggerFactory.getLogger(TaildirAgent.class);
  private static final long COPY_MILLIS = 1000;

  private TaildirAgent() {}

  public static void main(String[] args) throws IOException {
    Path position = Path.of(args[0]);
    Path copy = Path.of(args[0] + ".good");
    if (Files.exists(copy) && !isWhole(position)) {
      LOG.warn("position file {} is broken; restored its verified copy", position);
      replace(position, Files.readString(copy));
    }
    Thread keeper = new Thread(() -> keep(position, copy), "position-keeper");
    keeper.setDaemon(true);
    keeper.start();
    Application.main(java.util.Arrays.copyOfRange(args, 1, args.length));
  }

  private static void keep(Path position, Path copy) {
    String last = "";
    while (true) {
      try {
        Thread.sleep(COPY_MILLIS);
        String text = Files.exists(position) ? Files.readString(position) : "";
        if (!text.equals(last) && isWhole(text)) {
          replace(copy, text);
          last = text;
        }
      } catch (IOException e) {
        LOG.warn("cannot copy position file {}: {}", position, e.toString());
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  private static boolean isWhole(Path path) throws IOException {
    return Files.exists(path) && isWhole(Files.readString(path));
  }

  private static boolean isWhole(String text) {
    try {
      JsonElement json = JsonParser.parseString(text);
      return json.isJsonArray() && json.getAsJsonArray().size() > 0;
    } catch (JsonParseException e) {
      return false;
    }
  }

  private static void replace(Path path, String text) throws IOException {
    Path draft = Path.of(path + ".tmp");
    Files.writeString(draft, text);
    Files.move(draft, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }
}
