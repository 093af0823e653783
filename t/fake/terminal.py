# SPDX-License-Identifier: Apache-2.0
"""A person at a terminal: the gantry command on a pty."""
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios

from daemon import BUILD, until

GANTRY = os.path.join(BUILD, "gantry")


class Terminal:
    """The command on a terminal of 40 rows and 100 columns."""

    def __init__(self, environment, *words):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([GANTRY, *words], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env=environment, start_new_session=True)
        self.seen = b""
        os.set_blocking(self.master, False)

    def shows(self, text):
        def look():
            try:
                self.seen += os.read(self.master, 65536)
            except BlockingIOError:
                pass
            return text in self.seen
        return until(look, f"{text} on the terminal")

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO)

    def type(self, data):
        os.write(self.master, data)

    def resize(self, rows, columns):
        """The shell's job: the size, and the signal to who is on the terminal."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def end(self):
        """Its exit status, and whether the terminal is as it was."""
        until(lambda: self.process.poll() is not None, "the command to end")
        as_before = termios.tcgetattr(self.slave) == self.before
        os.close(self.master), os.close(self.slave)
        return self.process.returncode, as_before
