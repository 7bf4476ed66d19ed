import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The benchmark's work in Kafka Streams: JSON events to exposures, errors and a latency histogram
 * per service, release and ten-second window.
 *
 * <p>Tuned as its users would: a streaming JSON parser, binary values in the store, a cache that
 * holds every open window, one stream thread for one core.
 *
 * <p>Arguments: bootstrap, topic, results, application id, number of messages, variant (plain,
 * repartition, eos), state directory.
 */
public final class KafkaStreamsSide {
  private static final Duration WINDOW = Duration.ofSeconds(10);
  private static final double LOG_WIDTH = Math.log1p(0.02);
  private static final JsonFactory JSON = new JsonFactory();

  private static long messages;
  private static long read;
  private static long left;
  private static final CountDownLatch allSeen = new CountDownLatch(1);

  /** What of an event is counted. */
  record Event(String service, String release, boolean isBad, int bin) {
    static Event parse(byte[] json) {
      String service = "";
      String release = "";
      int status = 0;
      double durationMs = 0;
      try (JsonParser parser = JSON.createParser(json)) {
        parser.nextToken();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
          String name = parser.currentName();
          parser.nextToken();
          switch (name) {
            case "service.name" -> service = parser.getText();
            case "service.version" -> release = parser.getText();
            case "http.response.status_code" -> status = parser.getIntValue();
            case "duration_ms" -> durationMs = parser.getDoubleValue();
            default -> parser.skipChildren();
          }
        }
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
      return new Event(service, release, status >= 500, bin(durationMs));
    }

    static int bin(double value) {
      return (int) Math.floor(Math.log(value) / LOG_WIDTH);
    }

    String key() {
      return service + "/" + release;
    }

    static byte[] write(Event event) {
      return ByteBuffer.allocate(5).put((byte) (event.isBad ? 1 : 0)).putInt(event.bin).array();
    }

    static Event read(byte[] bytes) {
      ByteBuffer from = ByteBuffer.wrap(bytes);
      return new Event("", "", from.get() == 1, from.getInt());
    }
  }

  /** Counts of one window; the histogram is dense between its lowest and highest bin. */
  static final class Counts {
    int exposures;
    int errors;
    int lowest;
    int[] bins = new int[0];

    Counts add(Event event) {
      exposures++;
      if (event.isBad) {
        errors++;
      }
      reach(event.bin);
      bins[event.bin - lowest]++;
      return this;
    }

    private void reach(int bin) {
      if (bins.length == 0) {
        lowest = bin;
        bins = new int[1];
      } else if (bin < lowest || bin >= lowest + bins.length) {
        int low = Math.min(lowest, bin);
        int high = Math.max(lowest + bins.length, bin + 1);
        int[] wider = new int[high - low];
        System.arraycopy(bins, 0, wider, lowest - low, bins.length);
        bins = wider;
        lowest = low;
      }
    }

    static byte[] write(Counts counts) {
      ByteBuffer into = ByteBuffer.allocate(12 + 4 * counts.bins.length);
      into.putInt(counts.exposures).putInt(counts.errors).putInt(counts.lowest);
      into.asIntBuffer().put(counts.bins);
      return into.array();
    }

    static Counts read(byte[] bytes) {
      ByteBuffer from = ByteBuffer.wrap(bytes);
      Counts counts = new Counts();
      counts.exposures = from.getInt();
      counts.errors = from.getInt();
      counts.lowest = from.getInt();
      counts.bins = new int[from.remaining() / 4];
      from.asIntBuffer().get(counts.bins);
      return counts;
    }

    String json(Windowed<String> key) {
      int slash = key.key().indexOf('/');
      Map<Integer, Integer> histogram = new TreeMap<>();
      for (int i = 0; i < bins.length; i++) {
        if (bins[i] > 0) {
          histogram.put(lowest + i, bins[i]);
        }
      }
      StringBuilder text = new StringBuilder("{\"service\":\"");
      text.append(key.key(), 0, slash).append("\",\"release\":\"");
      text.append(key.key().substring(slash + 1)).append("\",\"window\":");
      text.append(key.window().start()).append(",\"exposures\":").append(exposures);
      text.append(",\"errors\":").append(errors).append(",\"histogram\":{");
      String comma = "";
      for (Map.Entry<Integer, Integer> entry : histogram.entrySet()) {
        text.append(comma).append('"').append(entry.getKey()).append("\":");
        text.append(entry.getValue());
        comma = ",";
      }
      return text.append("}}").toString();
    }
  }

  public static void main(String[] given) throws Exception {
    String variant = given[5];
    messages = left = Long.parseLong(given[4]);
    KafkaStreams streams = new KafkaStreams(topology(given[1], given[2], variant), settings(given));
    streams.start();
    allSeen.await();
    streams.close();
    tell("done");
    System.exit(0);
  }

  private static org.apache.kafka.streams.Topology topology(
      String topic, String results, String variant) {
    StreamsBuilder builder = new StreamsBuilder();
    KStream<String, Event> events =
        builder.stream(topic, Consumed.with(Serdes.String(), Serdes.ByteArray()))
            .mapValues(KafkaStreamsSide::read);
    Serde<Event> event = serde(Event::write, Event::read);
    KGroupedStream<String, Event> grouped =
        variant.equals("repartition")
            ? events.groupBy((key, value) -> value.key(), Grouped.with(Serdes.String(), event))
            : events.groupByKey(Grouped.with(Serdes.String(), event));
    grouped
        .windowedBy(TimeWindows.ofSizeAndGrace(WINDOW, Duration.ofMinutes(1)))
        .aggregate(
            Counts::new,
            (key, value, counts) -> count(counts.add(value)),
            Materialized.<String, Counts, WindowStore<Bytes, byte[]>>as("counts")
                .withKeySerde(Serdes.String())
                .withValueSerde(serde(Counts::write, Counts::read)))
        .toStream()
        .map((key, counts) -> KeyValue.pair(key.key(), counts.json(key)))
        .to(results, Produced.with(Serdes.String(), Serdes.String()));
    return builder.build();
  }

  private static Properties settings(String[] given) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given[0]);
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, given[3]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, given[6]);
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64 << 20);
    settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    settings.put(StreamsConfig.consumerPrefix("max.poll.records"), 5000);
    settings.put(StreamsConfig.consumerPrefix("max.partition.fetch.bytes"), 8 << 20);
    settings.put(StreamsConfig.producerPrefix("linger.ms"), 100);
    if (given[5].equals("eos")) {
      settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    }
    return settings;
  }

  private static Event read(byte[] json) {
    if (read == 0) {
      tell("first");
    }
    read++;
    if (read == messages / 2) {
      tell("half");
    }
    return Event.parse(json);
  }

  private static Counts count(Counts counts) {
    if (--left == 0) {
      allSeen.countDown();
    }
    return counts;
  }

  private static <T> Serde<T> serde(
      java.util.function.Function<T, byte[]> write, java.util.function.Function<byte[], T> read) {
    return Serdes.serdeFrom(
        (topic, value) -> value == null ? null : write.apply(value),
        (topic, bytes) -> bytes == null ? null : read.apply(bytes));
  }

  private static void tell(String what) {
    java.time.Instant now = java.time.Instant.now();
    long wall = now.getEpochSecond() * 1_000_000_000L + now.getNano();
    long cpu = ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO).toNanos();
    System.out.println(what + " " + wall + " " + cpu + " " + (messages - read));
    System.out.flush();
  }
}
