#!/bin/sh
# memcached 1.6.18 (Debian 12): every few minutes its clock skips a second, and what was stored for two
# seconds can be gone in less than one.
#
# protocol.txt gives relative times of expiry in seconds. The server keeps whole seconds and looks at the
# system's clock about once a second: that an entry may go up to a second early is known, and those who
# cannot have that store with a second more. But a look comes a little more than a second after the one
# before (a millisecond when idle, several on a busy machine), so the looks wander through the second, and
# when they pass its end the server's time goes on by two at once: once in five to twenty minutes. What was
# stored in the second before that loses two seconds. No statistic tells; "uptime" shows it.
#
# Seen: twelve servers, started shortly before the end of a second, so that it comes soon: within a minute or two
# several of the "uptime" went on by 2, and entries with exptime 2 were gone within 0.02 to 0.23 s.
set -eu
python3 - <<'PYTHON'
import itertools
import os
import pwd
import socket
import subprocess
import time

VERSION = subprocess.run(["memcached", "-V"], capture_output=True, text=True).stdout.strip()
print(VERSION)
assert VERSION == "memcached 1.6.18", VERSION
USER = pwd.getpwuid(os.getuid()).pw_name


class Server:
    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.process = subprocess.Popen(
            ["memcached", "-u", USER, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "8", "-t", "1"]
        )
        for _ in range(100):
            try:
                self.connection = socket.create_connection(("127.0.0.1", port), 5)
                break
            except OSError:
                time.sleep(0.05)
        self.connection.settimeout(5)
        self.uptime = self.skips = 0
        self.stored: list[tuple[float, str]] = []

    def say(self, command: str, end: str) -> str:
        self.connection.sendall(command.encode() + b"\r\n")
        reply = ""
        while not reply.endswith(end + "\r\n"):
            reply += self.connection.recv(65536).decode()
        return reply

    def look(self, key: str) -> float | None:
        """Store for two seconds; return the least that anything stored so lived for, if under one."""
        uptime = int(self.say("stats", "END").split("STAT uptime ")[1].split()[0])
        skipped = self.uptime and uptime - self.uptime == 2
        self.uptime = uptime
        shortest = None
        if skipped:
            self.skips += 1
            for at, known in self.stored:
                gone = self.say(f"get {known}", "END") == "END\r\n"
                # Asked after the reply: an upper bound of its life.
                age = time.monotonic() - at
                if gone and age < 1:
                    shortest = min(age, shortest or age)
        now = time.monotonic()
        self.say(f"set {key} 0 2 1\r\n1", "STORED")
        self.stored = [(at, known) for at, known in self.stored if now - at < 1.2]
        self.stored.append((now, key))
        return shortest


servers = []
try:
    for part in range(12):
        # Its first look at the clock comes a moment after its start.
        time.sleep((0.86 + part * 0.01 - time.monotonic()) % 1)
        servers.append(Server())
    lives = []
    end = time.monotonic() + 120
    for number in itertools.count():
        if time.monotonic() > end or len(lives) >= 3:
            break
        for server in servers:
            life = server.look(f"k{number}")
            if life is not None:
                lives.append(life)
        time.sleep(0.02)
    print("seconds skipped:", sum(server.skips for server in servers))
    print("stored for 2 s, gone within", ", ".join(f"{life:.2f} s" for life in lives))
    assert lives
finally:
    for server in servers:
        server.process.terminate()
        server.process.wait()
PYTHON
echo "memcached 1.6.18: as described"
