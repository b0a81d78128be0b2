"""Lets slowhttptest at a gateway while somebody else asks for something small, and judges both.

How many connections are open is asked of the gateway: slowhttptest notices late that one was closed. The attacker is the
nicest of processes, so that it takes no time from who asks, only the gateway's. Whatever else the machine does can only
make somebody wait longer: an attack that others felt is tried again before it counts.
"""

import http.client
import subprocess
import sys
import threading
import time

ADDRESS, ADMIN, MANY = sys.argv[1], sys.argv[2], int(sys.argv[3])
# The longest that a slow head or body may be held: its limit (5 s), and time for a busy machine.
HELD = 10
# Others' p99 is less than so many times what it was without the attack.
SLOWER = 2
TRIES = 3
# Seconds for which it is looked how long others wait without an attack.
ALONE = 10
# name, slowhttptest's options, whether the gateway must close every connection by itself
ATTACKS = [
    ("heads that never end", ["-H", "-i", "2", "-u", f"http://{ADDRESS}/x"], True),
    ("bodies that trickle", ["-B", "-i", "8", "-s", "8192", "-u", f"http://{ADDRESS}/x"], True),
    (
        "answers that are not read",
        ["-X", "-w", "1", "-y", "16", "-n", "30", "-z", "1", "-u", f"http://{ADDRESS}/large"],
        False,
    ),
]


def get(address, path):
    """The text at a path."""
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, f"somebody else got {answer.status} for {path}"
    return text


def watch(seconds, over):
    """Milliseconds of small requests, one after the other, until `over`."""
    times = []
    end = time.monotonic() + seconds
    while time.monotonic() < end and not over.is_set():
        began = time.monotonic()
        get(ADDRESS, "/small")
        times.append(1000 * (time.monotonic() - began))
        time.sleep(0.02)
    return times


def count(over, counts):
    """Moments, and how many connections are open then."""
    while not over.is_set():
        for line in get(ADMIN, "/metrics").splitlines():
            if line.startswith("isobar_connections "):
                counts.append((time.monotonic(), int(line.split()[1])))
        time.sleep(0.2)


def p99(times):
    """All but one of a hundred took no longer."""
    return sorted(times)[int(len(times) * 0.99)]


def attack(options, closes):
    """What one attack came to, in words, and whether that is good."""
    before = p99(watch(ALONE, threading.Event()))
    over, times, counts = threading.Event(), [], []
    others = [
        threading.Thread(target=lambda: times.extend(watch(120, over))),
        threading.Thread(target=count, args=(over, counts)),
    ]
    for other in others:
        other.start()
    command = ["nice", "-n", "19", "slowhttptest", "-c", str(MANY), "-r", str(MANY // 2), "-l", "20", "-p", "3"]
    subprocess.run(command + options, capture_output=True, check=False)
    # It leaves when it has no connection left; the count has to be seen, too.
    time.sleep(1)
    over.set()
    for other in others:
        other.join()
    most = max(number for _, number in counts)
    peak = max(moment for moment, number in counts if number == most)
    # One is the other's own.
    gone = next((moment for moment, number in counts if moment > peak and number <= 2), None)
    held = gone - peak if gone else float("inf")
    slow = p99(times)
    good = most >= MANY // 3 and slow < SLOWER * before and (not closes or held <= HELD)
    text = (
        f"{most} open at once, the last closed {held:.1f} s later; "
        f"others' p99 {slow:.1f} ms, {slow / before:.1f} times the {before:.1f} ms alone"
    )
    return text, good


def main():
    failed = False
    for name, options, closes in ATTACKS:
        for left in reversed(range(TRIES)):
            text, good = attack(options, closes)
            print(f"{name}: {text}: {'good' if good else 'again' if left else 'BAD'}", flush=True)
            if good:
                break
        failed |= not good
    sys.exit(failed)


main()
