# SPDX-License-Identifier: Apache-2.0
"""A load that a test keeps up while something happens to httpd."""

import threading

from harness.httpd import until

CLIENTS = 6


class Load:
    """Clients that ask without a pause until they are told to stop."""

    def __init__(self, httpd, path, clients=CLIENTS):
        self.httpd, self.path = httpd, path
        self.answers, self.failures = [], []
        self.stopped = threading.Event()
        self.rounds = [0] * clients     # requests that each client has ended
        self.threads = [threading.Thread(target=self.run, args=[client])
                        for client in range(clients)]

    def run(self, client):
        while not self.stopped.is_set():
            self.ask()
            self.rounds[client] += 1

    def ask(self):
        try:
            # a connection each: a graceful restart may close idle ones
            answer = self.httpd.get(self.path, headers={"Connection": "close"})
            told = answer.json() if answer.status == 200 else None
        except (OSError, ValueError) as error:
            self.failures.append(repr(error))
            return
        if told is None:
            self.failures.append(answer.status)
        else:
            self.answers.append(told)

    def settle(self):
        """Waits until every request that is under way now has ended."""
        before = list(self.rounds)
        until(lambda: all(now > then for now, then in zip(self.rounds, before)),
              "the requests under way")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
