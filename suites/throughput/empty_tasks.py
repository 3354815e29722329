"""Hands empty tasks to a Ray cluster as ``bench run --cluster`` hands it runs, and says how long they took.

``python empty_tasks.py ADDRESS COUNT ROUNDS`` prints a JSON list of seconds; a first round is not among them.
"""

from __future__ import annotations

import json
import sys
import time

from bench.runs import cluster


def nothing(number: int) -> int:
    return number


def main(address: str, count: int, rounds: int) -> None:
    ray = cluster.connect(address)
    task = ray.remote(nothing).options(max_retries=cluster.RETRIES, num_cpus=1)
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        done = ray.get([task.remote(number) for number in range(count)])
        seconds.append(time.perf_counter() - start)
        assert done == list(range(count))
    print(json.dumps(seconds[1:]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
