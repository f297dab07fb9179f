package loglake;

import com.google.gson.Gson;
import com.google.gson.JsonParseException;
import java.io.IOException;
import java.lang.reflect.Field;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.flume.Context;
import org.apache.flume.Event;
import org.apache.flume.FlumeException;
import org.apache.flume.source.taildir.ReliableTaildirEventReader;
import org.apache.flume.source.taildir.TailFile;
import org.apache.flume.source.taildir.TaildirSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * TAILDIR that loses no line when a log is rotated, nor when the agent is killed or away meanwhile.
 *
 * <p>TAILDIR looks only at the file that has the name now. What was written to the renamed one and
 * not yet read is lost if its handle was closed for idleness, if it is more than maxBatchCount
 * batches, or if the agent restarts; and a kill amid its write of the position file makes it read
 * everything again. Here a renamed file is read to its end under its old name, and its position is
 * kept, in a file that is replaced as a whole, until nginx has written elsewhere for a while.
 * Needs an idleTimeout that never comes.
 */
public class RotatingTaildirSource extends TaildirSource {
  private static final Logger LOG = LoggerFactory.getLogger(RotatingTaildirSource.class);
  private static final long SAVE_MILLIS = 1000;
  /** Workers of nginx reopen their logs one after the other. */
  private static final long REOPEN_MILLIS = 5000;

  private Context context;
  private Path taildirPositions;
  private Path positions;
  private ReliableTaildirEventReader reader;
  private final Map<Long, Long> replacedSince = new HashMap<>();
  private String saved = "";
  private long savedAt;

  /** One entry of TAILDIR's own format. */
  private static final class Position {
    long inode;
    long pos;
    String file;
  }

  @Override
  public synchronized void configure(Context context) {
    super.configure(context);
    this.context = context;
    taildirPositions = Path.of(context.getString("positionFile"));
    positions = Path.of(taildirPositions + ".good");
  }

  @Override
  public synchronized void start() {
    try {
      Position[] last = load();
      Files.writeString(taildirPositions, new Gson().toJson(last));
      super.start();
      Field field = TaildirSource.class.getDeclaredField("reader");
      field.setAccessible(true);
      reader = (ReliableTaildirEventReader) field.get(this);
      Map<Path, Map<Long, Long>> read = new HashMap<>();
      for (Position position : last) {
        read.computeIfAbsent(Path.of(position.file), file -> new HashMap<>())
            .put(position.inode, position.pos);
      }
      for (Path live : read.keySet()) {
        recover(live, read.get(live));
      }
    } catch (IOException | ReflectiveOperationException e) {
      throw new FlumeException("cannot go on from the positions in " + positions, e);
    }
  }

  @Override
  public Status process() {
    try {
      for (TailFile file : List.copyOf(reader.getTailFiles().values())) {
        if (!inode(Path.of(file.getPath())).equals(file.getInode())) {
          finish(file);
        }
      }
    } catch (IOException e) {
      throw new FlumeException("cannot read a rotated log to its end", e);
    }
    Status status = super.process();
    if (System.currentTimeMillis() - savedAt > SAVE_MILLIS) {
      save();
    }
    return status;
  }

  @Override
  public synchronized void stop() {
    super.stop();
    save();
  }

  /** Sends what a renamed file holds; lets go of it once its successor has been there for long. */
  private void finish(TailFile file) throws IOException {
    if (file.getRaf() == null) {
      throw new IOException(file.getPath() + " was closed for idleness: idleTimeout is too short");
    }
    boolean replaced = Files.exists(Path.of(file.getPath()));
    long now = System.currentTimeMillis();
    long since = replaced ? replacedSince.computeIfAbsent(file.getInode(), inode -> now) : now;
    boolean last = now - since > REOPEN_MILLIS;
    // What a full channel refused was read, not sent: go back to it.
    file.updateFilePos(file.getPos());
    reader.setCurrentFile(file);
    List<Event> events;
    while (!(events = reader.readEvents((int) getBatchSize(), !last)).isEmpty()) {
      getChannelProcessor().processEventBatch(events);
      reader.commit();
    }
    if (last) {
      file.close();
      reader.getTailFiles().remove(file.getInode());
      replacedSince.remove(file.getInode());
      LOG.info("rotated {} is read to its end, byte {}", file.getPath(), file.getPos());
    }
  }

  /** Opens what was rotated meanwhile: files that were read in part, and those that came later. */
  private void recover(Path live, Map<Long, Long> read) throws IOException {
    Map<String, String> headers = headers(live);
    if (headers.isEmpty()) {
      LOG.info("{} is not followed any more", live);
      return;
    }
    boolean known = read.containsKey(inode(live));
    List<Path> rotated;
    try (Stream<Path> siblings = Files.list(live.getParent())) {
      String prefix = live.getFileName().toString();
      rotated =
          siblings
              .filter(path -> path.getFileName().toString().startsWith(prefix))
              .filter(path -> !path.equals(live) && !path.toString().endsWith(".gz"))
              .sorted(Comparator.comparingLong(path -> path.toFile().lastModified()))
              .dropWhile(path -> !read.containsKey(inode(path)))
              .filter(path -> !known || read.containsKey(inode(path)))
              .toList();
    }
    if (rotated.isEmpty() && !known) {
      LOG.warn("{} was rotated out of reach; lines after bytes {} are lost", live, read.values());
    }
    for (Path path : rotated) {
      long inode = inode(path);
      long from = read.getOrDefault(inode, 0L);
      LOG.warn("{} was rotated meanwhile; reading {} from byte {}", live, path, from);
      reader.getTailFiles().put(inode, new Renamed(path, live, headers, inode, from));
    }
  }

  /** The headers of the file group that follows a path; empty when none does. */
  private Map<String, String> headers(Path live) {
    for (String group : context.getString("filegroups").split("\\s+")) {
      Path pattern = Path.of(context.getString("filegroups." + group));
      boolean named = live.getFileName().toString().matches(pattern.getFileName().toString());
      if (named && live.getParent().equals(pattern.getParent())) {
        return context.getSubProperties("headers." + group + ".");
      }
    }
    return Map.of();
  }

  private Position[] load() throws IOException {
    if (!Files.exists(positions)) {
      return new Position[0];
    }
    try {
      Position[] last = new Gson().fromJson(Files.readString(positions), Position[].class);
      return last == null ? new Position[0] : last;
    } catch (JsonParseException e) {
      throw new IOException("not JSON: " + e.getMessage(), e);
    }
  }

  private void save() {
    List<Position> now = new ArrayList<>();
    for (TailFile file : reader.getTailFiles().values()) {
      Position position = new Position();
      position.inode = file.getInode();
      position.pos = file.getPos();
      position.file = file.getPath();
      now.add(position);
    }
    String text = new Gson().toJson(now);
    try {
      if (!text.equals(saved)) {
        Path draft = Path.of(positions + ".tmp");
        Files.writeString(draft, text);
        Files.move(draft, positions, StandardCopyOption.ATOMIC_MOVE);
        saved = text;
      }
      savedAt = System.currentTimeMillis();
    } catch (IOException e) {
      // A full disk: the lines since the last good copy come twice after a kill, none is lost.
      LOG.warn("cannot save the positions to {}: {}", positions, e.toString());
    }
  }

  /** The inode at a path; -1 when there is none. */
  private static Long inode(Path path) {
    try {
      return (Long) Files.getAttribute(path, "unix:ino");
    } catch (IOException e) {
      return -1L;
    }
  }

  /** A rotated file that goes by the name it had when its first lines were sent. */
  private static final class Renamed extends TailFile {
    private final Path live;

    Renamed(Path path, Path live, Map<String, String> headers, long inode, long pos)
        throws IOException {
      super(path.toFile(), headers, inode, pos);
      this.live = live;
    }

    @Override
    public String getPath() {
      return live.toString();
    }
  }
}
