"""A real Apache Kafka (one KRaft node) for tests, and what tests do with it.

The jars come from Maven Central (kafka/pom.xml) into the build directory and stay in Maven's own cache.
"""

import atexit
import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
import time
import unittest
import uuid

from support.paths import BUILD, SUPPORT
from support.ports import free_ports, wait_until
from support.process import Child

JARS = os.path.join(BUILD, "kafka", "libs")

# Ids do not matter to a test that formats a fresh directory for each broker.
CLUSTER_ID = "a3BpZC10ZXN0LWNsdXN0ZQ"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
group.min.session.timeout.ms=1000
log.message.timestamp.after.max.ms=9223372036854775807
"""


class Unavailable(unittest.SkipTest):
    """A part that tests need cannot be had here: the test is skipped, with this as the reason."""


def jars():
    """Fetches the jars once; the folder of them."""
    if os.path.exists(os.path.join(JARS, "complete")):
        return JARS
    if not shutil.which("mvn") or not shutil.which("java"):
        raise Unavailable("Kafka needs maven and a Java runtime")
    fetch = subprocess.run(
        ["mvn", "-q", "-B", "-f", os.path.join(SUPPORT, "kafka", "pom.xml"),
         "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if fetch.returncode != 0:
        raise Unavailable("Maven cannot fetch Apache Kafka: " + fetch.stdout.strip()[-300:])
    with open(os.path.join(JARS, "complete"), "w", encoding="ascii"):
        pass
    return JARS


def client():
    try:
        import confluent_kafka
        import confluent_kafka.admin
    except ImportError:
        raise Unavailable("python3-confluent-kafka is not installed") from None
    return confluent_kafka


def java(*arguments, heap="256m"):
    return ["java", f"-Xmx{heap}", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto",
            "-cp", os.path.join(jars(), "*"), *arguments]


class Broker:
    """One broker with its own directory and ports, which it keeps over restarts."""

    def __init__(self, heap="512m"):
        client()
        jars()
        self.heap = heap
        self.directory = tempfile.mkdtemp(prefix="kpid-kafka-")
        self.child = None
        atexit.register(self.close)
        for attempt in range(5):
            self._format()
            try:
                self.start()
                return
            except AssertionError:
                # A port was taken between choosing and binding.
                if attempt == 4:
                    raise
                self.kill()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _format(self):
        self.port, controller = free_ports(2)
        data = os.path.join(self.directory, "data")
        shutil.rmtree(data, ignore_errors=True)
        self.properties = os.path.join(self.directory, "server.properties")
        with open(self.properties, "w", encoding="ascii") as f:
            f.write(PROPERTIES.format(port=self.port, controller=controller, data=data))
        subprocess.run(java("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID,
                            "-c", self.properties),
                       check=True, stdout=subprocess.DEVNULL, cwd=self.directory)

    def start(self, timeout=90):
        """Starts (again, on the same data and ports) and waits for the first metadata answer."""
        self.child = Child(java("kafka.Kafka", self.properties, heap=self.heap),
                           os.path.join(self.directory, "broker.log"), cwd=self.directory)
        admin = self.admin()

        def answers():
            try:
                return admin.list_topics(timeout=1).brokers
            except client().KafkaException:
                return False

        def alive():
            if not self.child.running():
                raise AssertionError("the broker ended: " + self.child.log_tail(10))

        wait_until(answers, timeout, "the broker answers", alive=alive)
        return self

    def stop(self):
        self.child.stop(60)

    def kill(self):
        if self.child:
            self.child.kill()

    def restart(self, kill=False):
        self.kill() if kill else self.stop()
        return self.start()

    def pause(self):
        self.child.pause()

    def cont(self):
        self.child.cont()

    def close(self):
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    # What tests do with it; Cluster has the same by address.

    def admin(self):
        return Cluster(self.address).admin()

    def cluster(self):
        return Cluster(self.address)


class Cluster:
    """A running broker by its address: topics, records, offsets."""

    def __init__(self, address):
        self.address = address

    def admin(self):
        return client().admin.AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def create_topic(self, prefix="events", partitions=4, **config):
        """A topic of a fresh name that keeps its records whatever their timestamps; the name."""
        name = f"{prefix}-{uuid.uuid4().hex[:8]}"
        self.create_named_topic(name, partitions, **config)
        return name

    def create_named_topic(self, name, partitions=4, **config):
        settings = {"retention.ms": "-1"}
        settings.update({k.replace("_", "."): str(v) for k, v in config.items()})
        topic = client().admin.NewTopic(name, partitions, 1, config=settings)
        admin = self.admin()  # must outlive its futures, here and below

        def created():
            try:
                admin.create_topics([topic])[name].result(30)
                return True
            except client().KafkaException as error:
                # The name of a deleted topic is free again a moment after the deletion.
                if error.args[0].code() == client().KafkaError.TOPIC_ALREADY_EXISTS:
                    return False
                raise

        wait_until(created, 30, f"topic {name} is created")
        wait_until(lambda: len(self.partitions(name)) == partitions, 30, f"topic {name} is known")

    def delete_topic(self, name):
        admin = self.admin()
        admin.delete_topics([name])[name].result(30)
        wait_until(lambda: not self.partitions(name), 30, f"topic {name} is gone")

    def add_partitions(self, name, total):
        new = client().admin.NewPartitions(name, total)
        admin = self.admin()
        admin.create_partitions([new])[name].result(30)
        wait_until(lambda: len(self.partitions(name)) == total, 30, "partitions are added")

    def partitions(self, name):
        topic = self.admin().list_topics(name, timeout=10).topics.get(name)
        return topic.partitions if topic and topic.error is None else {}

    def produce(self, topic, records, acks="all", **config):
        """Records are (key, value, timestamp_ms[, partition[, headers]]) tuples; value None is a
        tombstone, partition None any, headers a list of pairs.

        Idempotent: in order per partition and no copies of its own. Returns when all are acknowledged.
        """
        settings = {"bootstrap.servers": self.address, "enable.idempotence": True, "acks": acks,
                    "linger.ms": 5, "partitioner": "murmur2_random", "log_level": 0,
                    "queue.buffering.max.messages": 1000000}
        settings.update(config)
        producer = client().Producer(settings)
        errors = []
        self._send(producer, topic, records, errors)
        left = producer.flush(120)
        if errors or left:
            raise AssertionError(f"producing failed: {errors[:1]} ({left} left)")

    def produce_transaction(self, topic, records, commit):
        """One transaction of all records, committed or aborted."""
        producer = client().Producer({"bootstrap.servers": self.address, "log_level": 0,
                                      "transactional.id": f"tests-{uuid.uuid4().hex}",
                                      "partitioner": "murmur2_random"})
        producer.init_transactions(60)
        producer.begin_transaction()
        errors = []
        self._send(producer, topic, records, errors)
        # Aborting purges what is still queued, and the test wants it in the log.
        producer.flush(60)
        if commit:
            producer.commit_transaction(60)
        else:
            producer.abort_transaction(60)
        if errors:
            raise AssertionError(f"producing failed: {errors[:1]}")

    @staticmethod
    def _send(producer, topic, records, errors):
        def report(error, _message):
            if error:
                errors.append(error)

        for record in records:
            key, value, timestamp = record[:3]
            options = {"partition": record[3]} if len(record) > 3 and record[3] is not None else {}
            if len(record) > 4:
                options["headers"] = record[4]
            while True:
                try:
                    producer.produce(topic, value=value, key=key, timestamp=timestamp,
                                     on_delivery=report, **options)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)

    def read_topic(self, topic, n=None, timeout=30):
        """All records now in the topic (n: waits for that many) as confluent_kafka messages, by offset."""
        consumer = client().Consumer({
            "bootstrap.servers": self.address, "group.id": f"reader-{uuid.uuid4().hex}",
            "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "isolation.level": "read_uncommitted", "log_level": 0, "enable.partition.eof": True})
        partition = client().TopicPartition
        messages = []
        try:
            consumer.assign([partition(topic, p, 0) for p in sorted(self.partitions(topic))])
            open_ends = set(self.partitions(topic))
            deadline = time.monotonic() + timeout
            while (open_ends if n is None else len(messages) < n):
                message = consumer.poll(0.2)
                if message is None:
                    pass
                elif message.error() is None:
                    messages.append(message)
                    open_ends.add(message.partition())
                elif message.error().code() == client().KafkaError._PARTITION_EOF:
                    open_ends.discard(message.partition())
                if time.monotonic() > deadline:
                    raise AssertionError(f"{len(messages)} of {n} records in {topic}")
        finally:
            consumer.close()
        return messages

    def watermarks(self, topic):
        """{partition: (first offset, next offset)}"""
        consumer = client().Consumer({"bootstrap.servers": self.address, "group.id": "watermarks",
                                      "log_level": 0})
        try:
            return {p: consumer.get_watermark_offsets(client().TopicPartition(topic, p), 10, False)
                    for p in self.partitions(topic)}
        finally:
            consumer.close()

    def delete_records(self, topic, before):
        """Moves the start of each partition of `before` ({partition: offset}) up."""
        _delete_records(self.address, topic, before)

    def alter_topic(self, topic, **config):
        resource = client().admin.ConfigResource("topic", topic)
        for name, value in config.items():
            resource.set_config(name.replace("_", "."), str(value))
        admin = self.admin()
        admin.alter_configs([resource])[resource].result(30)

    def committed(self, group, topic):
        """{partition: (offset, metadata)} of a consumer group; partitions without offset are absent.

        Through librdkafka itself, as the Python client of Debian 12 keeps the metadata to itself.
        """
        return _committed(self.address, group, topic, sorted(self.partitions(topic)))


def origin(letter):
    """What a dead letter's headers say: reason, topic, partition, offset."""
    return {name.removeprefix("kpid_"): value.decode() for name, value in letter.headers() or []
            if name.startswith("kpid_")}


class _TopicPartition(ctypes.Structure):
    _fields_ = [("topic", ctypes.c_char_p), ("partition", ctypes.c_int32),
                ("offset", ctypes.c_int64), ("metadata", ctypes.c_void_p),
                ("metadata_size", ctypes.c_size_t), ("opaque", ctypes.c_void_p),
                ("err", ctypes.c_int), ("private", ctypes.c_void_p)]


class _TopicPartitionList(ctypes.Structure):
    _fields_ = [("cnt", ctypes.c_int), ("size", ctypes.c_int),
                ("elems", ctypes.POINTER(_TopicPartition))]


@contextlib.contextmanager
def _librdkafka(address, **properties):
    """The C library and a handle, for what the Python client of Debian 12 does not have."""
    lib = ctypes.CDLL("librdkafka.so.1")
    for name in ("conf_new", "new", "queue_new", "queue_poll", "DeleteRecords_new",
                 "event_DeleteRecords_result"):
        getattr(lib, "rd_kafka_" + name).restype = ctypes.c_void_p
    for name in ("topic_partition_list_new", "DeleteRecords_result_offsets"):
        getattr(lib, "rd_kafka_" + name).restype = ctypes.POINTER(_TopicPartitionList)
    error = ctypes.create_string_buffer(512)
    conf = ctypes.c_void_p(lib.rd_kafka_conf_new())
    for name, value in {"bootstrap.servers": address, "log_level": "0", **properties}.items():
        lib.rd_kafka_conf_set(conf, name.encode(), value.encode(), error, ctypes.c_size_t(512))
    handle = ctypes.c_void_p(lib.rd_kafka_new(1, conf, error, ctypes.c_size_t(512)))
    try:
        yield lib, handle
    finally:
        lib.rd_kafka_destroy(handle)


def _partitions(lib, topic, offsets):
    """A list of partitions ({partition: offset}); the caller destroys it."""
    made = lib.rd_kafka_topic_partition_list_new(len(offsets))
    for partition, offset in offsets.items():
        lib.rd_kafka_topic_partition_list_add(made, topic.encode(), partition)
        made.contents.elems[made.contents.cnt - 1].offset = offset
    return made


def _committed(address, group, topic, partitions):
    with _librdkafka(address, **{"group.id": group}) as (lib, handle):
        wanted = _partitions(lib, topic, dict.fromkeys(partitions, 0))
        try:
            r = lib.rd_kafka_committed(handle, wanted, 10000)
            if r != 0:
                raise AssertionError(f"committed offsets of {group}: error {r}")
            found = (wanted.contents.elems[i] for i in range(wanted.contents.cnt))
            return {e.partition: (e.offset, ctypes.string_at(e.metadata, e.metadata_size).decode()
                                  if e.metadata else "") for e in found if e.offset >= 0}
        finally:
            lib.rd_kafka_topic_partition_list_destroy(wanted)


def _delete_records(address, topic, before):
    with _librdkafka(address, **{"group.id": "-"}) as (lib, handle):
        offsets = _partitions(lib, topic, before)
        asked = ctypes.c_void_p(lib.rd_kafka_DeleteRecords_new(offsets))
        queue = ctypes.c_void_p(lib.rd_kafka_queue_new(handle))
        lib.rd_kafka_DeleteRecords(handle, ctypes.byref(asked), ctypes.c_size_t(1), None, queue)
        event = ctypes.c_void_p(lib.rd_kafka_queue_poll(queue, 30000))
        try:
            error = lib.rd_kafka_event_error(event) if event else "no answer"
            if not error:
                result = ctypes.c_void_p(lib.rd_kafka_event_DeleteRecords_result(event))
                done = lib.rd_kafka_DeleteRecords_result_offsets(result).contents
                error = next((done.elems[i].err for i in range(done.cnt) if done.elems[i].err), 0)
            if error:
                raise AssertionError(f"delete records of {topic}: error {error}")
        finally:
            lib.rd_kafka_event_destroy(event)
            lib.rd_kafka_queue_destroy(queue)
            lib.rd_kafka_DeleteRecords_destroy(asked)
            lib.rd_kafka_topic_partition_list_destroy(offsets)


_shared = None


def shared():
    """The broker of this test run: the runner's ($KPID_TEST_BROKER), else one of this process."""
    global _shared
    client()
    if os.environ.get("KPID_TEST_BROKER"):
        return Cluster(os.environ["KPID_TEST_BROKER"])
    if os.environ.get("KPID_TEST_NO_BROKER"):
        raise Unavailable(os.environ["KPID_TEST_NO_BROKER"])
    if _shared is None:
        _shared = Broker()
    return _shared.cluster()


@contextlib.contextmanager
def own():
    """A broker that the test may kill."""
    broker = Broker(heap="384m")
    try:
        yield broker
    finally:
        broker.close()
