"""What kpid refuses to start with, each with one clear sentence and an exit code of sysexits."""

import socket

from support import config, daemon, stream
from support.case import ProcessCase, write

EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 64, 69, 78


class Start(ProcessCase):
    def refused(self, settings, *words, codes=(EX_UNAVAILABLE, EX_CONFIG)):
        """`kpid run` ends by itself with one of the codes, and says each word."""
        instance = self.kpid(settings, wait=False)
        code = instance.child.wait(40)
        log = instance.log()
        self.assertIn(code, codes, log)
        for word in words:
            self.assertIn(word, log)
        self.assertIn("level=error", log)

    def usual(self, topics=None, redis=None, **more):
        if topics is None:
            topics = self.cluster().create_topic()
        return self.settings(self.cluster(), topics, redis or self.redis(),
                             [stream.campaign_now()], **more)

    def test_redis_that_evicts(self):
        redis = self.redis(maxmemory="100mb", maxmemory_policy="allkeys-lru")
        self.refused(self.usual(redis=redis), "maxmemory-policy", "allkeys-lru")

    def test_topics_of_unequal_partition_counts(self):
        topics = [self.cluster().create_topic(partitions=n) for n in (2, 3)]
        self.refused(self.usual(topics), *topics, "repartition")

    def test_compacted_topic(self):
        topic = self.cluster().create_topic(cleanup_policy="compact")
        self.refused(self.usual(topic), topic, "compact")

    def test_missing_topic(self):
        self.refused(self.usual("no-such-topic"), "no-such-topic")

    def test_missing_dead_letter_topic(self):
        self.refused(self.usual(kafka={"dead_letter_topic": "no-such-dead"}), "no-such-dead")

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            self.refused(self.usual(http={"listen": address}), address)

    def test_redis_that_is_not_there(self):
        redis = self.redis()
        settings = self.usual(redis=redis)
        redis.kill()
        self.refused(settings, redis.socket)

    def test_another_secret_than_the_state_was_made_with(self):
        self.stage()
        self.assertEqual(self.app.stop(), 0)
        # Another directory has another secret.
        self.refused(self.app.settings, "key")

    def test_warns_without_aof(self):
        app = self.stage(redis=self.redis(appendonly="no"))
        self.assertRegex(app.log(), r"level=warning .*(?i:append-?only|aof)")

    def test_unreadable_config(self):
        done = daemon.run("run", "-c", "/no/such/kpid.yaml")
        self.assertEqual(done.returncode, EX_CONFIG)
        self.assertIn("/no/such/kpid.yaml", done.stderr)

    def test_bad_config_names_place_and_suggestion(self):
        path = write(self.directory(), "kpid.yaml", "timezone: Asia/Shanghai\nkafka:\n"
                                                    "  brokrs: 127.0.0.1:9092\nnosuch: 1\n")
        for command in ("run", "check"):
            done = daemon.run(command, "-c", path)
            self.assertEqual(done.returncode, EX_CONFIG, done.stderr)
            said = done.stdout + done.stderr
            self.assertIn(f"{path}:3:3: error: ", said)
            self.assertIn("brokers", said)
            self.assertIn(f"{path}:4:1: error: ", said, "all errors at once")

    def test_good_config_is_checked(self):
        path = write(self.directory(), "kpid.yaml", config.to_yaml(self.usual()))
        done = daemon.run("check", "-c", path)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_usage(self):
        for arguments in ((), ("no-such-command",), ("run",), ("run", "--no-such-option"),
                          ("check", "-c")):
            done = daemon.run(*arguments)
            self.assertEqual(done.returncode, EX_USAGE, (arguments, done.stderr))
            self.assertNotEqual(done.stderr, "", arguments)

    def test_help_and_version(self):
        for arguments in (("--help",), ("run", "--help"), ("replay", "--help"), ("check", "--help")):
            done = daemon.run(*arguments)
            self.assertEqual(done.returncode, 0, arguments)
            self.assertIn("kpid", done.stdout)
        self.assertIn("kpid replay -c kpid.yaml events.ndjson", daemon.run("replay", "--help").stdout)
        done = daemon.run("version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^kpid\b.* \d+\.\d+\.\d+")

    def test_status_of_nobody(self):
        self.assertEqual(daemon.run("status", "--url", "http://127.0.0.1:1").returncode,
                         EX_UNAVAILABLE)
