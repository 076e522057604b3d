"""Worker processes end with their parent, also when it is killed."""

import os
import signal
import threading
from multiprocessing import parent_process

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """Make a worker end when its parent is killed; without this it would wait for work for ever.

    For use as a process pool's initializer. An interrupt from the keyboard is the parent's to handle: it
    cancels what is left.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
